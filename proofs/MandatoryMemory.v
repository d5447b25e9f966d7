(** No schedule, in whatever order, has a smaller peak than what some single instant needs.

    [hcb_opt.bounds.mandatory_memory] computes exactly [mandatory_memory]. *)

From Coq Require Import List Arith NArith Bool Lia.
From HcbOpt Require Import Sums Model Residency.
Import ListNotations.
Local Open Scope N_scope.

(** The largest workset of an op, or the bytes of all required outputs, if these are more. *)
Definition mandatory_memory (g : graph) : N :=
  N.max (largest (map (workset g) (below (op_count g)))) (total (size g) (required g)).

(** Every legal schedule runs every op, and holds the op's inputs, outputs and workspace when it does. *)
Theorem workset_is_needed g s o : well_formed g -> legal g s -> o < op_count g -> workset g o <= peak g s.
Proof.
  intros W L Ho. destruct (proj1 (computed_at s o) (legal_computes g s L o Ho)) as (t & Ht).
  assert (H := workset_and_others g W s t o [] (legal_actions g s L) Ht (NoDup_nil _) ltac:(intros v [])).
  simpl in H. pose proof (bytes_at_le_peak g s t). lia.
Qed.

(** Every legal schedule ends with all required outputs resident. *)
Theorem required_outputs_are_needed g s : well_formed g -> legal g s -> total (size g) (required g) <= peak g s.
Proof.
  intros W L. transitivity (bytes g (state_before g s (length s))).
  - apply bytes_of_residents; [apply (required_distinct g W)|].
    intros v Hv. split; [now apply (required_exist g W)|]. rewrite state_before_end. now apply (legal_outputs g s L).
  - apply bytes_between_le_peak; auto. apply (legal_actions g s L).
Qed.

(** The bound holds for every legal schedule, whatever its order. *)
Theorem mandatory_memory_is_needed g s : well_formed g -> legal g s -> mandatory_memory g <= peak g s.
Proof.
  intros W L. apply N.max_lub; [|now apply required_outputs_are_needed].
  apply largest_le. intros x Hx. apply in_map_iff in Hx. destruct Hx as (o & <- & Ho).
  apply workset_is_needed; auto. now apply in_below.
Qed.
