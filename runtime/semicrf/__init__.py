"""Semi-Markov conditional random fields over long sequences, within a memory budget."""

from hcb_opt.runtime.semicrf.partition import Marginals, log_partition, marginals
from hcb_opt.runtime.semicrf.viterbi import Segment, viterbi

__all__ = ["Marginals", "Segment", "log_partition", "marginals", "viterbi"]
