(** Checkpointing a chain whose state is a ring of columns, as the semi-Markov recursion's is.

    Each step needs the last [ring] columns; a checkpoint stores that many. The theorem: the recursion
    N(m, 1) = m, N(m, r) = N(m - ring, r) + N(m, r - 1) gives the longest segment that can be reversed with m columns
    of storage, beside the ring it starts from, when each step runs at most r times. *)

From Coq Require Import List Arith Lia.

Section Ring.
  Variable ring : nat.
  Hypothesis ring_is_not_empty : 1 <= ring.

  (** [ring_plan length columns runs]: a way to reverse a segment. Either all its columns are stored while it runs once;
      or it runs up to a split, where a ring is stored, its right part is reversed with what storage is left, and then
      its left part, whose steps have run once, with all of it. *)
  Inductive ring_plan : nat -> nat -> nat -> Prop :=
  | store_all length columns runs : length <= columns -> ring_plan length columns (S runs)
  | split_at left right columns runs : ring <= columns ->
      ring_plan left columns runs -> ring_plan right (columns - ring) (S runs) ->
      ring_plan (left + right) columns (S runs).

  (** The recursion N(m, r), unrolled over the rings that fit; [fuel] is at least their number. *)
  Fixpoint longest_segment (runs columns : nat) : nat :=
    match runs with
    | 0 => 0
    | S fewer =>
        (fix over_rings fuel columns :=
           match fuel with
           | 0 => columns
           | S fuel =>
               if ring <=? columns
               then if fewer =? 0 then columns else over_rings fuel (columns - ring) + longest_segment fewer columns
               else columns
           end) columns columns
    end.

  Definition over_rings (fewer : nat) := fix over_rings fuel columns :=
    match fuel with
    | 0 => columns
    | S fuel =>
        if ring <=? columns
        then if fewer =? 0 then columns else over_rings fuel (columns - ring) + longest_segment fewer columns
        else columns
    end.

  Lemma enough_fuel fewer fuel : forall more columns, columns <= fuel -> columns <= more ->
    over_rings fewer fuel columns = over_rings fewer more columns.
  Proof.
    induction fuel as [|fuel IH]; intros more columns H1 H2.
    - replace columns with 0 by lia. destruct more; simpl; auto. destruct (Nat.leb_spec ring 0); [lia|auto].
    - destruct more as [|more].
      + replace columns with 0 by lia. simpl. destruct (Nat.leb_spec ring 0); [lia|auto].
      + simpl. destruct (Nat.leb_spec ring columns); auto. destruct (fewer =? 0); auto. f_equal. apply IH; lia.
  Qed.

  (** N(m, 1) = m. *)
  Lemma longest_once columns : longest_segment 1 columns = columns.
  Proof.
    change (over_rings 0 columns columns = columns). destruct columns; simpl; auto.
    destruct (ring <=? S columns); auto.
  Qed.

  (** Without room for a ring, nothing is gained by running again. *)
  Lemma longest_without_ring columns runs : columns < ring -> longest_segment (S runs) columns = columns.
  Proof.
    intro H. change (over_rings runs columns columns = columns). destruct columns as [|columns]; [auto|].
    cbn [over_rings]. destruct (Nat.leb_spec ring (S columns)); [lia|auto].
  Qed.

  (** N(m, r) = N(m - ring, r) + N(m, r - 1). *)
  Lemma longest_recursion columns runs : ring <= columns ->
    longest_segment (S (S runs)) columns =
    longest_segment (S (S runs)) (columns - ring) + longest_segment (S runs) columns.
  Proof.
    intro H.
    change (over_rings (S runs) columns columns =
            over_rings (S runs) (columns - ring) (columns - ring) + longest_segment (S runs) columns).
    destruct columns as [|columns]; [lia|]. cbn [over_rings].
    destruct (Nat.leb_spec ring (S columns)); [|lia]. cbn [Nat.eqb]. f_equal. apply enough_fuel; lia.
  Qed.

  Lemma columns_suffice runs columns : columns <= longest_segment (S runs) columns.
  Proof.
    revert columns. induction runs as [|runs IH]; intro columns; [now rewrite longest_once|].
    destruct (le_lt_dec ring columns) as [H|H].
    - rewrite longest_recursion by auto. specialize (IH columns). lia.
    - now rewrite longest_without_ring.
  Qed.

  (** No plan reverses a longer segment. *)
  Theorem ring_plan_bounded length columns runs :
    ring_plan length columns runs -> length <= longest_segment runs columns.
  Proof.
    induction 1 as [length columns runs H|left right columns runs H P1 IH1 P2 IH2].
    - pose proof (columns_suffice runs columns). lia.
    - destruct runs as [|runs].
      + inversion P1.
      + rewrite longest_recursion by auto. lia.
  Qed.

  (** Every length up to it can be reversed. *)
  Theorem ring_plan_exists length columns runs :
    length <= longest_segment (S runs) columns -> ring_plan length columns (S runs).
  Proof.
    revert length columns. induction runs as [|runs IHr]; intros length columns.
    - rewrite longest_once. apply store_all.
    - revert length. induction columns as [columns IHc] using lt_wf_ind. intros length H.
      destruct (le_lt_dec ring columns) as [Hr|Hr].
      + rewrite longest_recursion in H by auto.
        set (left := Nat.min length (longest_segment (S runs) columns)).
        replace length with (left + (length - left)) by lia. apply split_at; auto.
        * apply IHr. lia.
        * apply IHc; lia.
      + rewrite longest_without_ring in H by auto. now apply store_all.
  Qed.

  (** The recursion is exact. *)
  Theorem ring_recursion_exact length columns runs :
    ring_plan length columns (S runs) <-> length <= longest_segment (S runs) columns.
  Proof. split; [apply ring_plan_bounded|apply ring_plan_exists]. Qed.

  (** From the chain's free initial state: [start_plan] stores a ring beside the columns only at splits, and its left
      part
      starts from the free state again. *)
  Inductive start_plan : nat -> nat -> nat -> Prop :=
  | start_empty columns : start_plan 0 columns 0
  | start_split left right columns runs : start_plan left columns runs -> ring_plan right columns (S runs) ->
      start_plan (left + right) columns (S runs).

  (** N0(m, 0) = 0, N0(m, r) = N(m, r) + N0(m, r - 1). *)
  Fixpoint longest_from_start (runs columns : nat) : nat :=
    match runs with
    | 0 => 0
    | S fewer => longest_segment runs columns + longest_from_start fewer columns
    end.

  Theorem start_recursion_exact length columns runs :
    start_plan length columns runs <-> length <= longest_from_start runs columns.
  Proof.
    split.
    - induction 1 as [columns|left right columns runs P1 IH1 P2]; [simpl; lia|].
      apply ring_plan_bounded in P2. cbn [longest_from_start]. lia.
    - revert length. induction runs as [|runs IH]; intros length H.
      + cbn in H. replace length with 0 by lia. constructor.
      + cbn [longest_from_start] in H. set (left := Nat.min length (longest_from_start runs columns)).
        replace length with (left + (length - left)) by lia. constructor.
        * apply IH. lia.
        * apply ring_plan_exists. lia.
  Qed.
End Ring.
