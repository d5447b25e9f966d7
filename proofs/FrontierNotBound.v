(** The frontier of a topological order is no lower bound of the memory that a graph needs.

    [count] sources are read twice: by a chain of ops in one order, then by a second chain in the opposite order.
    In every
    order without recomputation all sources and the first chain's end are alive at once; with recomputation three values
    suffice, however many sources there are. *)

From Coq Require Import List Arith NArith Bool Lia.
From HcbOpt Require Import Sums Model Residency Judgement Checker GraphFiles.
Import ListNotations.
Local Open Scope N_scope.

(** A schedule without recomputation runs every op in one place only. *)
Definition never_recomputes (s : schedule) : Prop :=
  forall o t u, nth_error s t = Some (Compute o) -> nth_error s u = Some (Compute o) -> t = u.

Section TwoPasses.
  Variable count : N.

  (** Ops 0 .. count - 1 are the sources; then the first pass, which reads them in this order, then the second pass,
      which
      reads them in the opposite order. Each op of a pass also reads the one before. Every value is one byte. *)
  Definition two_passes : graph := {|
    op_count := count + count + count;
    value_count := count + count + count;
    inputs := fun o =>
      if o <? count then []
      else if o <? count + count then if o =? count then [0] else [o - 1; o - count]
      else [o - 1; count + count + count - 1 - o];
    outputs := fun o => [o];
    cost := fun _ => 1;
    workspace := fun _ => 0;
    size := fun _ => 1;
    producer := fun v => v;
    required := [count + count + count - 1];
    persistent_bytes := 0
  |}.

  Hypothesis some_sources : 1 <= count.

  Lemma two_passes_is_well_formed : well_formed two_passes.
  Proof.
    constructor; cbn [op_count value_count inputs outputs producer required two_passes]; auto.
    - intros o v Ho. destruct (N.ltb_spec o count); [intros []|].
      destruct (N.ltb_spec o (count + count)); [destruct (N.eqb_spec o count)|].
      + intros [<-|[]]. lia.
      + intros [<-|[<-|[]]]; lia.
      + intros [<-|[<-|[]]]; lia.
    - intros o Ho. destruct (N.ltb_spec o count); [constructor|].
      destruct (N.ltb_spec o (count + count)); [destruct (N.eqb_spec o count)|];
        repeat constructor; intros []; auto; lia.
    - intros o v Ho [<-|[]]. auto.
    - intros. repeat constructor. intros [].
    - intros v Hv. simpl. auto.
    - intros v [<-|[]]. lia.
    - repeat constructor. intros [].
  Qed.

  Section Order.
    Variable s : schedule.
    Hypothesis schedule_is_legal : legal two_passes s.
    Hypothesis without_recomputation : never_recomputes s.

    Let allowed_always := legal_actions two_passes s schedule_is_legal.
    Let W := two_passes_is_well_formed.

    (** What an op reads was computed earlier. *)
    Lemma read_earlier o v t : nth_error s t = Some (Compute o) -> In v (inputs two_passes o) ->
      exists u, (u < t)%nat /\ nth_error s u = Some (Compute v).
    Proof.
      intros Ht Hv. destruct (allowed_always t _ Ht) as [_ Hin].
      assert (Hl : (t < length s)%nat) by (apply nth_error_Some; congruence).
      apply computed_before_at. exact (resident_was_computed two_passes W s v t allowed_always ltac:(lia) (Hin v Hv)).
    Qed.

    (** What was computed before an instant and is read after it is resident at that instant. *)
    Lemma read_across o v t u w : nth_error s u = Some (Compute v) -> (u < t)%nat ->
      nth_error s w = Some (Compute o) -> (t <= w)%nat -> In v (inputs two_passes o) ->
      state_before two_passes s t v = true.
    Proof.
      intros Hu Hut Hw Htw Hv. destruct (allowed_always w _ Hw) as [_ Hin].
      assert (Hl : (w < length s)%nat) by (apply nth_error_Some; congruence).
      destruct (residents_have_a_source two_passes W s v t w allowed_always ltac:(lia) (Hin v Hv))
        as [H|(x & Hx & H)]; auto.
      cbn in H. assert (x = u) by (eapply without_recomputation; eauto). lia.
    Qed.

    (** Every op of the first pass runs before its last op has run; so does every source. *)
    Lemma first_pass_before t back : nth_error s t = Some (Compute (count + count - 1)) ->
      N.of_nat back < count ->
      exists u, (u <= t)%nat /\ nth_error s u = Some (Compute (count + count - 1 - N.of_nat back)).
    Proof.
      intro Ht. induction back as [|back IH]; intro Hb.
      - exists t. rewrite N.sub_0_r. auto.
      - destruct (IH ltac:(lia)) as (u & Hu & Hrun).
        destruct (read_earlier _ (count + count - 1 - N.of_nat (S back)) u Hrun) as (w & Hw & Hrun').
        + cbn. rewrite (proj2 (N.ltb_ge _ _)), (proj2 (N.ltb_lt _ _)), (proj2 (N.eqb_neq _ _)) by lia. left. lia.
        + exists w. split; auto. lia.
    Qed.

    (** Every op of the second pass runs after the first pass has ended. *)
    Lemma second_pass_after t on w : nth_error s t = Some (Compute (count + count - 1)) ->
      N.of_nat on < count -> nth_error s w = Some (Compute (count + count + N.of_nat on)) -> (S t <= w)%nat.
    Proof.
      intro Ht. revert w. induction on as [|on IH]; intros w Hon Hw.
      - destruct (read_earlier _ (count + count - 1) w Hw) as (u & Hu & Hrun).
        + cbn. rewrite !(proj2 (N.ltb_ge _ _)) by lia. left. lia.
        + assert (u = t) by (eapply without_recomputation; eauto). lia.
      - destruct (read_earlier _ (count + count + N.of_nat on) w Hw) as (u & Hu & Hrun).
        + cbn. rewrite !(proj2 (N.ltb_ge _ _)) by lia. left. lia.
        + specialize (IH u ltac:(lia) Hrun). lia.
    Qed.

    (** Right after the first pass all sources and its last value are resident: at least [count + 1] values. *)
    Theorem every_order_is_wide : count + 1 <= peak two_passes s.
    Proof.
      destruct (proj1 (computed_at s (count + count - 1))) as (t & Ht).
      { apply (legal_computes two_passes s schedule_is_legal). cbn. lia. }
      assert (Hl : (t < length s)%nat) by (apply nth_error_Some; congruence).
      etransitivity; [|apply (bytes_between_le_peak two_passes s (S t) allowed_always); lia].
      etransitivity; [|apply (bytes_of_residents two_passes _ (below count ++ [count + count - 1]))].
      - rewrite total_app. cbn [size two_passes].
        assert (E : total (fun _ : N => 1) (below count) = count); [|rewrite E; cbn; lia].
        unfold below. rewrite <- (N2Nat.id count) at 2. generalize (N.to_nat count) as k, 0 as from.
        induction k as [|k IH]; intro from; [reflexivity|]. cbn [count_up]. unfold total in *. cbn [fold_right].
        rewrite IH. lia.
      - apply distinct_app; [apply distinct_below|repeat constructor; intros []|].
        intros v Hv [<-|[]]. apply in_below in Hv. lia.
      - intros v Hv. apply in_app_or in Hv. destruct Hv as [Hv|[<-|[]]].
        + apply in_below in Hv. cbn [value_count two_passes]. split; [lia|].
          (* read before by op count + v of the first pass, and after by op 3 count - 1 - v of the second *)
          destruct (first_pass_before t (N.to_nat (count - 1 - v)) Ht ltac:(lia)) as (u & Hu & Hrun).
          rewrite N2Nat.id in Hrun.
          destruct (read_earlier _ v u Hrun) as (x & Hx & Hsource).
          { cbn. rewrite (proj2 (N.ltb_ge _ _)), (proj2 (N.ltb_lt _ _)) by lia.
            destruct (N.eqb_spec (count + count - 1 - (count - 1 - v)) count); [left|right; left]; lia. }
          destruct (proj1 (computed_at s (count + count + (count - 1 - v)))) as (w & Hw).
          { apply (legal_computes two_passes s schedule_is_legal). cbn. lia. }
          assert (Haft : (S t <= w)%nat).
          { apply (second_pass_after t (N.to_nat (count - 1 - v))); auto; rewrite N2Nat.id; auto. lia. }
          apply (read_across _ v (S t) x w Hsource ltac:(lia) Hw Haft).
          cbn. rewrite !(proj2 (N.ltb_ge _ _)) by lia. right. left. lia.
        + split; [cbn; lia|]. apply (touched_resident two_passes s t _ _ allowed_always Ht).
          apply in_or_app. right. left. auto.
    Qed.
  End Order.

  (** ** With recomputation *)

  (** The schedule that computes each source again right before it is read. *)
  Definition read_source (o v : N) : schedule := [Compute v; Compute o; Drop v; Drop (o - 1)].

  Definition three_value_schedule : schedule :=
    [Compute 0; Compute count; Drop 0] ++
    flat_map (fun v => if v =? 0 then [] else read_source (count + v) v) (below count) ++
    flat_map (fun v => read_source (count + count + v) (count - 1 - v)) (below count).
End TwoPasses.

(** Twelve sources: every order is 13 values wide, and yet a legal schedule holds three. *)
Theorem frontier_is_no_lower_bound :
  (forall s, legal (two_passes 12) s -> never_recomputes s -> 13 <= peak (two_passes 12) s) /\
  (exists s, legal (two_passes 12) s /\ peak (two_passes 12) s = 3).
Proof.
  split.
  - intros s L R. apply (every_order_is_wide 12 ltac:(lia) s L R).
  - exists (three_value_schedule 12).
    assert (E : judge (two_passes 12) (three_value_schedule 12) = Legal 3 48 false) by (vm_compute; reflexivity).
    apply judge_accepts in E; [|apply two_passes_is_well_formed; lia].
    destruct E as (L & P & _). exact (conj L (eq_sym P)).
Qed.
