(** Reversing a chain whose state is a ring of columns, as the semi-Markov recursion's is: [hcb_opt/ring_chains.py].

    A step makes a column from the last [ring] columns and is reversed from its own column alone. A plan splits the
    chain at rings that it keeps, and stores what is not split further in place of the ring that it starts from. The
    theorems: such plans can be executed; the closed forms that the program computes satisfy its recursions; and they
    are the longest segments that any such plan reverses in so many slots with so many runs of a step. *)

From Coq Require Import Bool List Arith Lia.
From HcbOpt Require Import BinomialCheckpointing.
Import ListNotations.

Section Ring.
  Variable ring : nat.
  Hypothesis ring_is_not_empty : 1 <= ring.

  (** * Plans *)

  (** What a plan does, as in the program. [advance]: run from [start], whose ring lies from [source] on, to [stop], and
      keep the ring there from [slot] on. [store]: run, and keep all columns from [slot] on, in place of the ring at
      [start]. [reverse]: reverse the steps whose columns lie from [slot] on. *)
  Inductive action :=
  | advance (start stop source slot : nat)
  | store (start stop slot : nat)
  | reverse (start stop slot : nat).

  (** A segment is stored as a whole, or split in two. *)
  Inductive plan := whole (length : nat) | split (left_part right_part : plan).

  Fixpoint length_of (p : plan) : nat :=
    match p with
    | whole length => length
    | split left_part right_part => length_of left_part + length_of right_part
    end.

  Fixpoint no_empty_part (p : plan) : Prop :=
    match p with
    | whole length => 1 <= length
    | split left_part right_part => no_empty_part left_part /\ no_empty_part right_part
    end.

  (** The actions that reverse the segment that begins at [start], whose ring lies from [slot] on: run to the split,
      reverse what is right of it, then what is left of it. At the chain's beginning, 0, no ring is held. *)
  Fixpoint actions (start slot : nat) (p : plan) : list action :=
    match p with
    | whole length => [store start (start + length) slot; reverse start (start + length) slot]
    | split left_part right_part =>
        let middle := start + length_of left_part in
        let right_slot := if start =? 0 then slot else slot + ring in
        advance start middle slot right_slot :: actions middle right_slot right_part ++ actions start slot left_part
    end.

  (** How many slots, from 0 on, an action needs. *)
  Definition top (a : action) : nat :=
    match a with
    | advance start _ source slot => Nat.max slot (if start =? 0 then 0 else source) + ring
    | store start stop slot => slot + Nat.max (stop - start) (if start =? 0 then 0 else ring)
    | reverse start stop slot => slot + (stop - start)
    end.

  (** Whether an action runs a step: 1 or 0. *)
  Definition runs_in (step : nat) (a : action) : nat :=
    match a with
    | advance start stop _ _ | store start stop _ => if (start <? step) && (step <=? stop) then 1 else 0
    | reverse _ _ _ => 0
    end.
  Definition runs_of (step : nat) (all : list action) : nat := list_sum (map (runs_in step) all).

  Definition keeps_to (slots runs : nat) (all : list action) : Prop :=
    Forall (fun a => top a <= slots) all /\ forall step, runs_of step all <= runs.

  (** * Plans can be executed *)

  (** [held] says which column lies in a slot; columns are numbered from 1, like the steps that make them. Of a ring
      that begins before column 1 only the columns there are count: at 0, none. *)
  Definition holds_ring (held : nat -> nat) (position slot : nat) : Prop :=
    forall i, i < ring -> ring <= position + i -> held (slot + i) = position + i + 1 - ring.

  (** [held] after columns [f 0], [f 1], ... are put into [count] slots from [slot] on. *)
  Definition put (held : nat -> nat) (slot count : nat) (f : nat -> nat) : nat -> nat :=
    fun x => if (slot <=? x) && (x <? slot + count) then f (x - slot) else held x.

  (** The actions find the rings that they run from, and the columns that they reverse; reversed are all steps up to
      [position], the last first. *)
  Fixpoint reverses (all : list action) (held : nat -> nat) (position : nat) : Prop :=
    match all with
    | [] => position = 0
    | advance start stop source slot :: rest =>
        holds_ring held start source /\ reverses rest (put held slot ring (fun i => stop + i + 1 - ring)) position
    | store start stop slot :: rest =>
        holds_ring held start slot /\ reverses rest (put held slot (stop - start) (fun i => start + i + 1)) position
    | reverse start stop slot :: rest =>
        position = stop /\ (forall i, i < stop - start -> held (slot + i) = start + i + 1) /\ reverses rest held start
    end.

  Lemma put_inside held slot count f i : i < count -> put held slot count f (slot + i) = f i.
  Proof.
    intro H. unfold put. destruct (Nat.leb_spec slot (slot + i)), (Nat.ltb_spec (slot + i) (slot + count)); try lia.
    cbn. f_equal. lia.
  Qed.

  Lemma put_below held slot count f x : x < slot -> put held slot count f x = held x.
  Proof. intro H. unfold put. now destruct (Nat.leb_spec slot x); [lia|]. Qed.

  (** A segment's actions leave what lies below its slots as it is. *)
  Lemma segment_reverses p : forall start slot held rest, holds_ring held start slot ->
    (forall after, (forall x, x < slot -> after x = held x) -> reverses rest after start) ->
    reverses (actions start slot p ++ rest) held (start + length_of p).
  Proof.
    induction p as [length|p IHp q IHq]; intros start slot held rest Hring Hrest; cbn [actions length_of].
    - cbn [app reverses]. repeat split; auto.
      + intros i Hi. now rewrite put_inside.
      + apply Hrest. intros x Hx. now apply put_below.
    - cbv zeta. set (right_slot := if start =? 0 then slot else slot + ring).
      assert (Hs : slot <= right_slot) by (subst right_slot; destruct (start =? 0); lia).
      cbn [app reverses]. split; auto. rewrite <- app_assoc, Nat.add_assoc. apply IHq.
      + intros i Hi _. now rewrite put_inside.
      + intros after Hafter. apply IHp.
        * intros i Hi Hc. rewrite Hafter, put_below by (subst right_slot; destruct (Nat.eqb_spec start 0); lia).
          now apply Hring.
        * intros later Hlater. apply Hrest. intros x Hx. rewrite Hlater, Hafter, put_below by lia. auto.
  Qed.

  (** Whatever lies in the slots before. *)
  Theorem every_plan_reverses p held : reverses (actions 0 0 p) held (length_of p).
  Proof.
    rewrite <- (app_nil_r (actions 0 0 p)). apply segment_reverses; [intros i H1 H2; lia|reflexivity].
  Qed.

  (** * The recursions *)

  (** N(m, r), in closed form. *)
  Definition longest_segment (slots runs : nat) : nat :=
    if (slots <? ring) || (runs =? 0) then 0
    else let rings := slots / ring - 1 in
      (ring + slots mod ring) * binomial (rings + runs - 1) rings + ring * binomial (rings + runs - 1) runs.

  (** N0(m, r), in closed form. *)
  Definition longest_from_start (slots runs : nat) : nat :=
    if runs =? 0 then 0
    else if slots <? ring then slots
    else let rings := slots / ring - 1 in
      (ring + slots mod ring) * binomial (rings + runs) (rings + 1) + ring * (binomial (rings + runs) runs - 1).

  Lemma rings_and_rest slots : ring <= slots -> exists rings rest,
    rest < ring /\ slots = ring + rings * ring + rest /\ slots / ring = S rings /\ slots mod ring = rest.
  Proof.
    intro H. exists (slots / ring - 1), (slots mod ring).
    assert (H1 := Nat.div_mod slots ring ltac:(lia)). assert (H2 := Nat.mod_upper_bound slots ring ltac:(lia)).
    assert (H3 : 1 <= slots / ring) by (apply Nat.div_le_lower_bound; lia). repeat split; lia || nia.
  Qed.

  Lemma one_ring_less slots : 2 * ring <= slots ->
    slots / ring = S ((slots - ring) / ring) /\ slots mod ring = (slots - ring) mod ring.
  Proof.
    intro H. replace slots with (slots - ring + 1 * ring) at 1 3 by lia.
    rewrite Nat.div_add, Nat.mod_add by lia. lia.
  Qed.

  Lemma binomial_0 n : binomial n 0 = 1. Proof. now destruct n. Qed.
  Lemma binomial_1 n : binomial n 1 = n.
  Proof. induction n; [auto|]. rewrite binomial_step, binomial_0, IHn. auto. Qed.

  (** N(m, r) = 0 if m < ring. *)
  Lemma longest_without_ring slots runs : slots < ring -> longest_segment slots runs = 0.
  Proof. intro H. unfold longest_segment. now destruct (Nat.ltb_spec slots ring); [|lia]. Qed.

  Lemma longest_without_runs slots : longest_segment slots 0 = 0.
  Proof. unfold longest_segment. now destruct (slots <? ring). Qed.

  (** N(m, 1) = m otherwise. *)
  Lemma longest_once slots : ring <= slots -> longest_segment slots 1 = slots.
  Proof.
    intro H. unfold longest_segment. destruct (Nat.ltb_spec slots ring); [lia|]. cbn [orb Nat.eqb].
    destruct (rings_and_rest slots H) as (rings & rest & H1 & H2 & -> & ->). replace (S rings - 1) with rings by lia.
    replace (rings + 1 - 1) with rings by lia. rewrite binomial_diagonal, binomial_1. lia.
  Qed.

  (** N(m, r) = N(m - ring, r) + N(m, r - 1). *)
  Lemma longest_recursion slots runs : ring <= slots ->
    longest_segment slots (S (S runs)) = longest_segment (slots - ring) (S (S runs)) + longest_segment slots (S runs).
  Proof.
    intro H. unfold longest_segment. destruct (Nat.ltb_spec slots ring); [lia|]. cbn [orb Nat.eqb].
    destruct (Nat.ltb_spec (slots - ring) ring) as [H1|H1].
    - destruct (rings_and_rest slots H) as (rings & rest & H2 & H3 & -> & ->).
      assert (rings = 0) as -> by nia. cbn [orb Nat.sub]. rewrite !binomial_0, !binomial_above by lia. lia.
    - destruct (one_ring_less slots ltac:(lia)) as [-> ->]. cbn [orb].
      destruct (rings_and_rest (slots - ring) H1) as (rings & rest & H2 & H3 & -> & ->).
      replace (S (S rings) - 1) with (S rings) by lia. replace (S rings - 1) with rings by lia.
      replace (S rings + S (S runs) - 1) with (S (S (rings + runs))) by lia.
      replace (rings + S (S runs) - 1) with (S (rings + runs)) by lia.
      replace (S rings + S runs - 1) with (S (rings + runs)) by lia.
      rewrite (binomial_step (S (rings + runs)) rings), (binomial_step (S (rings + runs)) (S runs)). nia.
  Qed.

  (** N0(m, 1) = m. *)
  Lemma start_once slots : longest_from_start slots 1 = slots.
  Proof.
    unfold longest_from_start. cbn [Nat.eqb]. destruct (Nat.ltb_spec slots ring) as [|H]; auto.
    destruct (rings_and_rest slots H) as (rings & rest & H1 & H2 & -> & ->).
    replace (S rings - 1) with rings by lia. rewrite binomial_diagonal, binomial_1. nia.
  Qed.

  (** N0(m, r) = N(m, r) + N0(m, r - 1). *)
  Lemma start_recursion slots runs :
    longest_from_start slots (S (S runs)) = longest_segment slots (S (S runs)) + longest_from_start slots (S runs).
  Proof.
    unfold longest_from_start, longest_segment. cbn [Nat.eqb]. destruct (slots <? ring); auto. cbn [orb].
    generalize (slots / ring - 1) (slots mod ring). intros rings rest.
    replace (rings + S (S runs) - 1) with (rings + S runs) by lia.
    replace (rings + S (S runs)) with (S (rings + S runs)) by lia. rewrite Nat.add_1_r, !binomial_step.
    assert (1 <= binomial (rings + S runs) (S runs)).
    { rewrite Nat.add_comm, <- longest_chain_binomial. apply longest_chain_positive. }
    nia.
  Qed.

  (** * Why they are exact *)

  Lemma slots_suffice slots runs : ring <= slots -> slots <= longest_segment slots (S runs).
  Proof.
    intro H. induction runs as [|runs IH]; [now rewrite longest_once|]. rewrite longest_recursion by auto. lia.
  Qed.

  Lemma slots_suffice_from_start slots runs : slots <= longest_from_start slots (S runs).
  Proof. induction runs as [|runs IH]; [now rewrite start_once|]. rewrite start_recursion. lia. Qed.

  Lemma not_empty p : no_empty_part p -> 1 <= length_of p.
  Proof. induction p; simpl; [auto|]. intros [H1 H2]. apply IHp1 in H1. lia. Qed.

  Lemma runs_of_whole step length start slot :
    runs_of step (actions start slot (whole length)) = runs_in step (store start (start + length) slot).
  Proof. unfold runs_of. simpl. lia. Qed.

  Lemma runs_of_split step p q start slot :
    runs_of step (actions start slot (split p q)) =
    runs_in step (advance start (start + length_of p) 0 0) +
    (runs_of step (actions (start + length_of p) (if start =? 0 then slot else slot + ring) q) +
     runs_of step (actions start slot p)).
  Proof. unfold runs_of. cbn [actions map]. now rewrite map_app, <- list_sum_app. Qed.

  Lemma runs_inside step start stop : start < step <= stop ->
    (if (start <? step) && (step <=? stop) then 1 else 0) = 1.
  Proof. intro H. destruct (Nat.ltb_spec start step), (Nat.leb_spec step stop); simpl; lia. Qed.

  Lemma runs_outside step start stop : ~ start < step <= stop ->
    (if (start <? step) && (step <=? stop) then 1 else 0) = 0.
  Proof. intro H. destruct (Nat.ltb_spec start step), (Nat.leb_spec step stop); simpl; lia. Qed.

  (** A segment's actions run no step outside it. *)
  Lemma runs_elsewhere p : forall start slot step,
    ~ start < step <= start + length_of p -> runs_of step (actions start slot p) = 0.
  Proof.
    induction p as [length|p IHp q IHq]; intros start slot step H; cbn [length_of] in H.
    - rewrite runs_of_whole. cbn [runs_in]. now rewrite runs_outside by lia.
    - rewrite runs_of_split. cbn [runs_in]. rewrite runs_outside, IHp, IHq by lia. auto.
  Qed.

  (** No plan reverses a longer segment. *)
  Lemma segment_bounded p : forall start slot slots runs, no_empty_part p -> 1 <= start ->
    Forall (fun a => top a <= slot + slots) (actions start slot p) ->
    (forall step, start < step <= start + length_of p -> runs_of step (actions start slot p) <= runs) ->
    length_of p <= longest_segment slots runs.
  Proof.
    induction p as [length|p IHp q IHq]; intros start slot slots runs H Hs Htop Hruns; cbn [length_of] in *.
    - apply Forall_inv in Htop. cbn in Htop. specialize (Hruns (start + 1)). rewrite runs_of_whole in Hruns.
      cbn [no_empty_part runs_in] in H, Hruns. rewrite runs_inside in Hruns by lia. specialize (Hruns ltac:(lia)).
      destruct runs as [|runs]; [lia|]. destruct (Nat.eqb_spec start 0); [lia|].
      assert (H1 := slots_suffice slots runs). lia.
    - destruct H as [Hp Hq]. assert (Lp := not_empty p Hp). assert (Lq := not_empty q Hq).
      assert (Hn : (start =? 0) = false) by (apply Nat.eqb_neq; lia). cbn [actions] in Htop. rewrite Hn in Htop.
      inversion Htop as [|a all Ha Hall]; subst. apply Forall_app in Hall as [Tq Tp]. cbn [top] in Ha. rewrite Hn in Ha.
      assert (Bq : length_of q <= longest_segment (slots - ring) runs).
      { apply IHq with (start := start + length_of p) (slot := slot + ring); auto; [lia| |].
        - eapply Forall_impl; [|exact Tq]. cbn. intros. lia.
        - intros step Hstep. specialize (Hruns step ltac:(lia)). rewrite runs_of_split, Hn in Hruns. lia. }
      assert (Bp : length_of p <= longest_segment slots (runs - 1)).
      { apply IHp with (start := start) (slot := slot); auto.
        intros step Hstep. specialize (Hruns step ltac:(lia)). rewrite runs_of_split in Hruns.
        cbn [runs_in] in Hruns. rewrite runs_inside in Hruns by lia. lia. }
      destruct runs as [|[|runs]]; cbn [Nat.sub] in Bp; rewrite ?longest_without_runs in Bp; try lia.
      rewrite longest_recursion by lia. lia.
  Qed.

  Lemma start_bounded p : forall slots runs, no_empty_part p ->
    Forall (fun a => top a <= slots) (actions 0 0 p) ->
    (forall step, 0 < step <= length_of p -> runs_of step (actions 0 0 p) <= runs) ->
    length_of p <= longest_from_start slots runs.
  Proof.
    induction p as [length|p IHp q _]; intros slots runs H Htop Hruns; cbn [length_of] in *.
    - apply Forall_inv in Htop. cbn in Htop. specialize (Hruns 1). rewrite runs_of_whole in Hruns.
      cbn [no_empty_part runs_in] in H, Hruns. rewrite runs_inside in Hruns by lia. specialize (Hruns ltac:(lia)).
      destruct runs as [|runs]; [lia|]. assert (H1 := slots_suffice_from_start slots runs). lia.
    - destruct H as [Hp Hq]. assert (Lp := not_empty p Hp). assert (Lq := not_empty q Hq).
      cbn [actions Nat.eqb Nat.add] in Htop. inversion Htop as [|a all _ Hall]; subst.
      apply Forall_app in Hall as [Tq Tp].
      assert (Bq : length_of q <= longest_segment slots runs).
      { apply segment_bounded with (start := length_of p) (slot := 0); auto.
        intros step Hstep. specialize (Hruns step ltac:(lia)). rewrite runs_of_split in Hruns.
        cbn [Nat.eqb Nat.add] in Hruns. lia. }
      assert (Bp : length_of p <= longest_from_start slots (runs - 1)).
      { apply IHp; auto. intros step Hstep. specialize (Hruns step ltac:(lia)). rewrite runs_of_split in Hruns.
        cbn [runs_in] in Hruns. rewrite runs_inside in Hruns by lia. lia. }
      destruct runs as [|[|runs]]; try (cbn in Bp; lia). cbn [Nat.sub] in Bp. rewrite start_recursion. lia.
  Qed.

  (** A segment split in two keeps to the slots and runs if its parts do. *)
  Lemma split_keeps_to p q start slot slots runs :
    let right_slot := if start =? 0 then slot else slot + ring in
    right_slot + ring <= slots -> keeps_to slots runs (actions start slot p) ->
    keeps_to slots (S runs) (actions (start + length_of p) right_slot q) ->
    keeps_to slots (S runs) (actions start slot (split p q)).
  Proof.
    intros right_slot H [Tp Rp] [Tq Rq]. split.
    - cbn [actions]. fold right_slot. constructor.
      + cbn [top]. subst right_slot. destruct (start =? 0); lia.
      + apply Forall_app. auto.
    - intro step. rewrite runs_of_split. fold right_slot. cbn [runs_in].
      specialize (Rp step). specialize (Rq step). destruct (le_lt_dec step (start + length_of p)) as [H1|H1].
      + rewrite (runs_elsewhere q) by lia. destruct ((start <? step) && _); lia.
      + rewrite (runs_elsewhere p), runs_outside by lia. lia.
  Qed.

  Lemma whole_keeps_to length start slot slots runs :
    slot + Nat.max length (if start =? 0 then 0 else ring) <= slots ->
    keeps_to slots (S runs) (actions start slot (whole length)).
  Proof.
    intro H. split.
    - repeat constructor; cbn [top]; lia.
    - intro step. rewrite runs_of_whole. cbn [runs_in]. destruct ((start <? step) && _); lia.
  Qed.

  Lemma keeps_to_with_more_runs slots runs all : keeps_to slots runs all -> keeps_to slots (S runs) all.
  Proof. intros [H1 H2]. split; auto. Qed.

  (** Every length up to it can be reversed, at any place by the same splits. *)
  Lemma segment_exists runs : forall slots length, 1 <= length <= longest_segment slots runs ->
    exists p, no_empty_part p /\ length_of p = length /\
      forall start slot, 1 <= start -> keeps_to (slot + slots) runs (actions start slot p).
  Proof.
    induction runs as [|runs IHr]; [intros slots; rewrite longest_without_runs; lia|].
    induction slots as [slots IHs] using lt_wf_ind. intros length H.
    destruct (le_lt_dec ring slots) as [Hr|Hr]; [|rewrite longest_without_ring in H; lia].
    destruct runs as [|runs].
    { rewrite longest_once in H by auto. exists (whole length). split; [cbn; lia|]. split; [auto|].
      intros start slot Hs. apply whole_keeps_to. destruct (start =? 0); lia. }
    rewrite longest_recursion in H by auto. assert (H1 := slots_suffice slots runs Hr).
    destruct (le_lt_dec length (longest_segment slots (S runs))) as [Hl|Hl].
    - destruct (IHr slots length ltac:(lia)) as (p & Pp & Lp & Kp).
      exists p. auto using keeps_to_with_more_runs.
    - destruct (le_lt_dec ring (slots - ring)) as [H2|H2]; [|rewrite (longest_without_ring (slots - ring)) in H; lia].
      destruct (IHr slots (longest_segment slots (S runs)) ltac:(lia)) as (p & Pp & Lp & Kp).
      destruct (IHs (slots - ring) ltac:(lia) (length - length_of p) ltac:(lia)) as (q & Pq & Lq & Kq).
      exists (split p q). split; [now split|]. split; [cbn; lia|]. intros start slot Hs.
      apply split_keeps_to; auto; destruct (Nat.eqb_spec start 0); try lia.
      replace (slot + slots) with (slot + ring + (slots - ring)) by lia. apply Kq. lia.
  Qed.

  Lemma start_exists runs : forall slots length, 1 <= length <= longest_from_start slots runs ->
    exists p, no_empty_part p /\ length_of p = length /\ keeps_to slots runs (actions 0 0 p).
  Proof.
    induction runs as [|runs IH]; [cbn; lia|]. intros slots length H. destruct runs as [|runs].
    { rewrite start_once in H. exists (whole length). split; [cbn; lia|]. split; [auto|].
      apply whole_keeps_to. cbn. lia. }
    rewrite start_recursion in H. assert (H1 := slots_suffice_from_start slots runs).
    destruct (le_lt_dec length (longest_from_start slots (S runs))) as [Hl|Hl].
    - destruct (IH slots length ltac:(lia)) as (p & Pp & Lp & Kp).
      exists p. auto using keeps_to_with_more_runs.
    - destruct (le_lt_dec ring slots) as [H2|H2]; [|rewrite longest_without_ring in H; lia].
      destruct (IH slots (longest_from_start slots (S runs)) ltac:(lia)) as (p & Pp & Lp & Kp).
      destruct (segment_exists (S (S runs)) slots (length - length_of p) ltac:(lia)) as (q & Pq & Lq & Kq).
      exists (split p q). split; [now split|]. split; [cbn; lia|].
      apply split_keeps_to; auto; cbn; try lia. apply (Kq (length_of p) 0). lia.
  Qed.

  (** From a ring that lies from [slot] on, a segment can be reversed in [slots] slots, those of the ring included, with
      at most [runs] runs of a step, if and only if it is no longer than N([slots], [runs]). *)
  Theorem longest_segment_is_exact length slots runs start slot : 1 <= length -> 1 <= start ->
    length <= longest_segment slots runs <->
    exists p, no_empty_part p /\ length_of p = length /\ keeps_to (slot + slots) runs (actions start slot p).
  Proof.
    intros Hl Hs. split.
    - intro H. destruct (segment_exists runs slots length ltac:(lia)) as (p & Pp & Lp & Kp). eauto.
    - intros (p & Pp & <- & Tp & Rp). now apply segment_bounded with (start := start) (slot := slot).
  Qed.

  (** From its beginning, a chain can be reversed in [slots] slots with at most [runs] runs of a step if and only if it
      is no longer than N0([slots], [runs]). *)
  Theorem longest_from_start_is_exact length slots runs : 1 <= length ->
    length <= longest_from_start slots runs <->
    exists p, no_empty_part p /\ length_of p = length /\ keeps_to slots runs (actions 0 0 p).
  Proof.
    intro Hl. split.
    - intro H. apply start_exists. lia.
    - intros (p & Pp & <- & Tp & Rp). now apply start_bounded.
  Qed.

  (** So the fewest slots, and the fewest runs, can be found by bisection. *)
  Corollary longest_from_start_grows slots more runs further : slots <= more -> runs <= further ->
    longest_from_start slots runs <= longest_from_start more further.
  Proof.
    intros Hs Hr. destruct (Nat.eq_dec (longest_from_start slots runs) 0) as [->|H]; [lia|].
    destruct (start_exists runs slots (longest_from_start slots runs)) as (p & Pp & Lp & Tp & Rp); [lia|].
    apply longest_from_start_is_exact; [lia|]. exists p. split; [auto|]. split; [auto|]. split.
    - apply Forall_impl with (2 := Tp). intros a Ha. cbn beta in *. lia.
    - intro step. specialize (Rp step). lia.
  Qed.
End Ring.
