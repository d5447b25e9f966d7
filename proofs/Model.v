(** The rules of the game: what a schedule is, when it is legal, what it costs and how much it holds.

    This is the definition that every theorem speaks of. It says in logic what [hcb_opt/replay.py] does in Python;
    each comment quotes the line of thought there. Ops and values are named by their positions, from 0 on. *)

From Coq Require Import List NArith Bool.
From HcbOpt Require Import Sums.
Import ListNotations.
Local Open Scope N_scope.

(** * Graphs *)

(** A training step: [hcb_opt.graph.Graph]. An op may write several values; each has its own bytes and is dropped by
    itself. Parameters and batch are no values, but the constant [persistent_bytes]. *)
Record graph := Graph {
  op_count : N;
  value_count : N;
  inputs : N -> list N;       (** values that an op reads *)
  outputs : N -> list N;      (** values that an op writes *)
  cost : N -> N;              (** of one run of an op *)
  workspace : N -> N;         (** scratch bytes held only while an op runs *)
  size : N -> N;              (** bytes of a value *)
  producer : N -> N;          (** the op that writes a value *)
  required : list N;          (** values that must be resident at the end *)
  persistent_bytes : N        (** resident throughout *)
}.

(** What [hcb_opt.graph._validate] demands: an op reads distinct values that earlier ops write, writes distinct
    values that name it as their producer, and every value is written. *)
Record well_formed (g : graph) : Prop := {
  inputs_come_before : forall o v, o < op_count g -> In v (inputs g o) -> v < value_count g /\ producer g v < o;
  inputs_distinct : forall o, o < op_count g -> NoDup (inputs g o);
  outputs_name_their_producer :
    forall o v, o < op_count g -> In v (outputs g o) -> v < value_count g /\ producer g v = o;
  outputs_distinct : forall o, o < op_count g -> NoDup (outputs g o);
  values_are_written :
    forall v, v < value_count g -> producer g v < op_count g /\ In v (outputs g (producer g v));
  required_exist : forall v, In v (required g) -> v < value_count g;
  required_distinct : NoDup (required g)
}.

(** * Schedules *)

(** One action: run an op, or release a value. *)
Inductive action := Compute (op : N) | Drop (value : N).

(** A schedule is a list of actions. *)
Definition schedule := list action.

(** A state says which values are resident. *)
Definition state := N -> bool.

(** At the start nothing is: "[resident = [False] * len(graph.values)]". *)
Definition nothing_resident : state := fun _ => false.

(** What an action does: "a compute makes all its outputs resident (an output that was still resident is replaced)";
    a drop releases one value. *)
Definition after (g : graph) (before : state) (a : action) : state :=
  match a with
  | Compute o => fun v => among v (outputs g o) || before v
  | Drop u => fun v => negb (v =? u) && before v
  end.

(** What is resident after some actions. *)
Definition state_after (g : graph) (s : schedule) : state := fold_left (after g) s nothing_resident.

(** What is resident right before the action at position [t]; actions are numbered from 0. *)
Definition state_before (g : graph) (s : schedule) (t : nat) : state := state_after g (firstn t s).

(** "A compute needs all its inputs resident; a drop needs its value resident", and both must exist. *)
Definition allowed (g : graph) (before : state) (a : action) : Prop :=
  match a with
  | Compute o => o < op_count g /\ (forall v, In v (inputs g o) -> before v = true)
  | Drop v => v < value_count g /\ before v = true
  end.

(** Whether an op is computed by some actions: "[counts[op] > 0]". *)
Definition computes (o : N) (a : action) : bool :=
  match a with Compute p => o =? p | Drop _ => false end.

Definition computed (s : schedule) (o : N) : bool := existsb (computes o) s.

(** A schedule is legal if every action is allowed when its turn comes, and "in the end every op has been computed and
    every output is resident". *)
Definition every_action_allowed (g : graph) (s : schedule) : Prop :=
  forall t a, nth_error s t = Some a -> allowed g (state_before g s t) a.

Record legal (g : graph) (s : schedule) : Prop := {
  legal_actions : every_action_allowed g s;
  legal_computes : forall o, o < op_count g -> computed s o = true;
  legal_outputs : forall v, In v (required g) -> state_after g s v = true
}.

(** The first computes come in the graph's order: when an op runs, every earlier op has already run. *)
Definition fixed_order (s : schedule) : Prop :=
  forall t o, nth_error s t = Some (Compute o) -> forall p, p < o -> computed (firstn t s) p = true.

(** * Bytes and cost *)

(** All values of a graph. *)
Definition values (g : graph) : list N := below (value_count g).

(** Bytes of the resident values: "[held]". *)
Definition bytes (g : graph) (now : state) : N := total (fun v => if now v then size g v else 0) (values g).

(** Bytes that count towards the peak at position [t]: "[during = held + op.workspace_bytes]", with the outputs already
    resident. A drop only lowers what is held, hence counts for nothing. *)
Definition bytes_at (g : graph) (s : schedule) (t : nat) : N :=
  match nth_error s t with
  | Some (Compute o) => bytes g (state_before g s (S t)) + workspace g o
  | _ => 0
  end.

(** Most bytes held at once: "[peak_bytes]". *)
Definition peak (g : graph) (s : schedule) : N := largest (map (bytes_at g s) (seq 0 (length s))).

(** The same with the persistent bytes counted, as [--total] does. *)
Definition total_peak (g : graph) (s : schedule) : N := persistent_bytes g + peak g s.

(** "[cost += op.cost]" for every compute. *)
Definition action_cost (g : graph) (a : action) : N :=
  match a with Compute o => cost g o | Drop _ => 0 end.

Definition schedule_cost (g : graph) (s : schedule) : N := total (action_cost g) s.

(** Cost of running every op once: [Graph.base_cost]. *)
Definition base_cost (g : graph) : N := total (cost g) (below (op_count g)).

(** Bytes that an op cannot run without, its inputs, outputs and workspace: [Graph.workset_bytes]. *)
Definition workset (g : graph) (o : N) : N := workspace g o + total (size g) (inputs g o ++ outputs g o).
