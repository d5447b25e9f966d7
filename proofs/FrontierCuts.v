(** The frontier-cut programme: its variables, its rows, and the point that a schedule stands for.

    This is the programme of [docs/frontier-cuts.md], of [relaxation.py], [order_rows.py] and [tail_rows.py] in
    [formulations/frontier_cuts/]; [FrontierCutsSound.v] proves that schedules satisfy every row of it.
    Rows are built here from the
    graph, the budget and the cuts alone, by computable functions. Stages are numbered from 0, as in the code. *)

From Coq Require Import List Arith NArith ZArith Bool Lia.
From HcbOpt Require Import Sums Model LinearRows.
Import ListNotations.
Local Open Scope N_scope.

(** * Stages *)

Section Stages.
  Variable g : graph.
  Variable cuts : list N.

  (** Cuts are positions of ops, ascending. *)
  Record cuts_valid : Prop := {
    cuts_exist : forall b, In b cuts -> b < op_count g;
    cuts_ascend : forall k b c, nth_error cuts k = Some b -> nth_error cuts (S k) = Some c -> b < c
  }.

  (** The last stage, which runs to the end. *)
  Definition last_stage : nat := length cuts.

  (** The first new op of stage [k]: the one after the previous cut. Past the last stage: the number of ops. *)
  Definition first_new (k : nat) : N :=
    match k with
    | O => 0
    | S previous => match nth_error cuts previous with Some b => b + 1 | None => op_count g end
    end.

  (** An op is old in a stage if it was first computed in an earlier one, and new if first computed in it. *)
  Definition old (k : nat) (o : N) : bool := o <? first_new k.
  Definition new (k : nat) (o : N) : bool := (first_new k <=? o) && (o <? first_new (S k)).

  (** Values that an op neither reads nor writes. *)
  Definition untouched (o : N) : list N :=
    filter (fun v => negb (among v (inputs g o ++ outputs g o))) (values g).

  (** * Variables *)

  Inductive variable :=
  | Recompute (stage : nat) (op : N)          (** R[k,o]: an old op runs in stage k *)
  | Carry (stage : nat) (value : N)           (** S[k,v]: a value is resident when stage k begins *)
  | Later (stage : nat) (op other : N)        (** Y[k,o,q]: q runs in stage k for the last time after o does *)
  | HeldAt (stage : nat) (op value : N)       (** H[k,o,v]: v is resident when o runs in stage k for the last time *)
  | Tail (stage : nat) (op : N).              (** Z[k,o]: an old op runs in stage k or a later one *)

  (** * Rows *)

  Inductive row_name :=
  | Available (stage : nat) (op value : N)
  | Needed (stage : nat) (op value : N)
  | Carried (stage : nat) (value : N)
  | CutMemory (stage : nat)
  | OutputKept (value : N)
  | LaterRuns (stage : nat) (op other : N)
  | NotBothLater (stage : nat) (op other : N)
  | OneIsLater (stage : nat) (op other : N)
  | HeldToEnd (stage : nat) (op value : N)
  | HeldForCut (stage : nat) (op value : N)
  | HeldForOutput (op value : N)
  | HeldForRun (stage : nat) (op other value : N)
  | RunMemory (stage : nat) (op : N)
  | TailSplits (stage : nat) (op : N)
  | TailHasNow (stage : nat) (op : N)
  | TailHasLater (stage : nat) (op : N)
  | TailAvailable (stage : nat) (op value : N)
  | TailNeeded (stage : nat) (op value : N)
  | TailOutput (stage : nat) (value : N).

  Definition when {A} (condition : bool) (result : A) : option A := if condition then Some result else None.

  Local Open Scope Z_scope.

  (** R[k,prod(v)] + S[k,v]: how a value comes to be resident in a stage. *)
  Definition source (k : nat) (v : N) : linear variable := [(1, Recompute k (producer g v)); (1, Carry k v)].

  (** H[k,o,v] + Y[k,o,prod(v)]: resident at o's last run, or written after it. *)
  Definition kept_or_written (k : nat) (o v : N) : linear variable :=
    [(1, HeldAt k o v); (1, Later k o (producer g v))].

  (** Z[k,prod(v)] + S[k,v]: how a value comes to be resident from a stage on. *)
  Definition tail_source (k : nat) (v : N) : linear variable := [(1, Tail k (producer g v)); (1, Carry k v)].

  (** The row of a name, if the graph and the cuts have it. *)
  Definition row_of (budget : N) (name : row_name) : option (row variable) :=
    match name with
    | Available k o v =>
        (** R[k,o] <= R[k,prod(v)] + S[k,v] for an input v of an old op o *)
        when ((k <=? last_stage)%nat && old k o && among v (inputs g o))
             (Row (source k v ++ [(-1, Recompute k o)]) 0)
    | Needed k p v =>
        (** 1 <= R[k,prod(v)] + S[k,v] for an input v of a new op p (if v is not old, it is trivial) *)
        when ((k <=? last_stage)%nat && new k p && among v (inputs g p)) (Row (source k v) 1)
    | Carried k v =>
        (** S[k+1,v] <= S[k,v] + R[k,prod(v)] *)
        when (k <? last_stage)%nat (Row (source k v ++ [(-1, Carry (S k) v)]) 0)
    | CutMemory k =>
        (** sum of bytes(v) S[k+1,v] over v not touching the cut <= budget - workset(cut) *)
        match nth_error cuts k with
        | Some b => Some (Row (weighted (fun v => -1 * Z.of_N (size g v)) (Carry (S k)) (untouched b))
                              (Z.of_N (workset g b) - Z.of_N budget))
        | None => None
        end
    | OutputKept v =>
        (** 1 <= R[K,prod(v)] + S[K,v] for a required output, in the last stage *)
        when (among v (required g)) (Row (source last_stage v) 1)
    | LaterRuns k o q =>
        (** Y[k,o,q] <= R[k,q] *)
        when (k <=? last_stage)%nat (Row [(1, Recompute k q); (-1, Later k o q)] 0)
    | NotBothLater k o q =>
        (** Y[k,o,q] + Y[k,q,o] <= 1 *)
        when (k <=? last_stage)%nat (Row [(-1, Later k o q); (-1, Later k q o)] (-1))
    | OneIsLater k o q =>
        (** Y[k,o,q] + Y[k,q,o] >= R[k,o] + R[k,q] - 1 for two ops *)
        when ((k <=? last_stage)%nat && negb (o =? q)%N)
             (Row [(1, Later k o q); (1, Later k q o); (-1, Recompute k o); (-1, Recompute k q)] (-1))
    | HeldToEnd k o v =>
        (** H[k,o,v] >= S[k+1,v] - Y[k,o,prod(v)] *)
        when (k <? last_stage)%nat (Row (kept_or_written k o v ++ [(-1, Carry (S k) v)]) 0)
    | HeldForCut k o v =>
        (** H[k,o,v] >= 1 - Y[k,o,prod(v)] for an input v of the cut *)
        match nth_error cuts k with
        | Some b => when (among v (inputs g b)) (Row (kept_or_written k o v) 1)
        | None => None
        end
    | HeldForOutput o v =>
        (** the same for a required output, in the last stage *)
        when (among v (required g)) (Row (kept_or_written last_stage o v) 1)
    | HeldForRun k o q v =>
        (** H[k,o,v] >= Y[k,o,q] - Y[k,o,prod(v)] for an input v of q *)
        when ((k <=? last_stage)%nat && among v (inputs g q))
             (Row (kept_or_written k o v ++ [(-1, Later k o q)]) 0)
    | RunMemory k o =>
        (** sum of bytes(v) H[k,o,v] over v not touching o, + workset(o) R[k,o] <= budget *)
        when (k <=? last_stage)%nat
             (Row (weighted (fun v => -1 * Z.of_N (size g v)) (HeldAt k o) (untouched o)
                   ++ [(- Z.of_N (workset g o), Recompute k o)])
                  (- Z.of_N budget))
    | TailSplits k o =>
        (** Z[k,o] <= R[k,o] + Z[k+1,o]; in the last stage Z[k,o] <= R[k,o] *)
        when (k <=? last_stage)%nat
             (Row ((if (k <? last_stage)%nat then [(1, Tail (S k) o)] else []) ++
                   [(1, Recompute k o); (-1, Tail k o)]) 0)
    | TailHasNow k o =>
        (** Z[k,o] >= R[k,o] *)
        when (k <=? last_stage)%nat (Row [(1, Tail k o); (-1, Recompute k o)] 0)
    | TailHasLater k o =>
        (** Z[k,o] >= Z[k+1,o] *)
        when (k <? last_stage)%nat (Row [(1, Tail k o); (-1, Tail (S k) o)] 0)
    | TailAvailable k o v =>
        (** Z[k,o] <= Z[k,prod(v)] + S[k,v] for an input v of an op o *)
        when ((k <=? last_stage)%nat && among v (inputs g o)) (Row (tail_source k v ++ [(-1, Tail k o)]) 0)
    | TailNeeded k p v =>
        (** 1 <= Z[k,prod(v)] + S[k,v] for an input v of an op p that is new in stage k or a later one *)
        when ((k <=? last_stage)%nat && (first_new k <=? p)%N && (p <? op_count g)%N && among v (inputs g p))
             (Row (tail_source k v) 1)
    | TailOutput k v =>
        (** the same for a required output *)
        when ((k <=? last_stage)%nat && among v (required g)) (Row (tail_source k v) 1)
    end.

  (** The sum of cost(o) R[k,o] over the old ops of all stages; it counts on top of every op's cost once. *)
  Definition stage_objective (k : nat) : linear variable :=
    weighted (fun o => 1 * Z.of_N (cost g o)) (Recompute k) (below (first_new k)).

  Definition objective : linear variable := flat_map stage_objective (seq 0 (S last_stage)).

  (** * The point that a schedule stands for: [formulations/frontier_cuts/encode.py] *)

  Local Close Scope Z_scope.

  (** Position of the first run of an op. *)
  Fixpoint first_run (s : schedule) (o : N) : nat :=
    match s with
    | [] => O
    | a :: rest => if computes o a then O else S (first_run rest o)
    end.

  (** Position at which stage [k] begins: right after the previous cut is first computed. Past the last stage: the
      end. *)
  Definition stage_start (s : schedule) (k : nat) : nat :=
    match k with
    | O => O
    | S previous => match nth_error cuts previous with Some b => S (first_run s b) | None => length s end
    end.

  (** Whether an op runs at a position. *)
  Definition runs_at (s : schedule) (o : N) (t : nat) : bool :=
    match nth_error s t with Some a => computes o a | None => false end.

  (** Positions of stage [k]. *)
  Definition stage_positions (s : schedule) (k : nat) : list nat :=
    seq (stage_start s k) (stage_start s (S k) - stage_start s k).

  Definition runs_in_stage (s : schedule) (k : nat) (o : N) : bool :=
    existsb (runs_at s o) (stage_positions s k).

  (** The position right after the last run of an op in a stage; the stage's begin if it does not run. *)
  Definition after_last_run (s : schedule) (k : nat) (o : N) : nat :=
    fold_right Nat.max (stage_start s k) (map S (filter (runs_at s o) (stage_positions s k))).

  Definition chosen (s : schedule) (x : variable) : bool :=
    match x with
    | Recompute k o => runs_in_stage s k o
    | Carry k v => state_before g s (stage_start s k) v
    | Later k o q => (after_last_run s k o <? after_last_run s k q)%nat
    | HeldAt k o v => state_before g s (after_last_run s k o) v
    | Tail k o => existsb (runs_at s o) (seq (stage_start s k) (length s - stage_start s k))
    end.

  (** The 0/1 point. *)
  Definition point (s : schedule) (x : variable) : Z := if chosen s x then 1%Z else 0%Z.
End Stages.
