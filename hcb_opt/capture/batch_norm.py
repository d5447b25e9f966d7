"""cuDNN's batch norm, traced in the form that says what it writes."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class DeclaredStatistics(TorchDispatchMode):
    """Inside, ``cudnn_batch_norm`` returns the running statistics that it would write without saying so.

    Both forms run the same kernel, and what they save for the backward is the same.
    """

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), keywords: dict[str, Any] | None = None
    ) -> Any:
        """The op itself, or its other form."""
        if function is aten.cudnn_batch_norm.default:
            tensor, weight, bias, mean, variance, training, momentum, epsilon = arguments
            if training and mean is not None:
                *results, new_mean, new_variance = aten._batch_norm_with_update_functional(
                    tensor, weight, bias, mean, variance, momentum, epsilon
                )
                for written, new in ((mean, new_mean), (variance, new_variance)):
                    written.replace_(torch._from_functional_tensor(new.elem))
                    written.commit_update()
                    written.sync()
                return tuple(results)
        return function(*arguments, **(keywords or {}))
