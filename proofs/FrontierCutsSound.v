(** The frontier-cut programme is a relaxation: every fixed-order schedule within budget is a point of it.

    Hence every lower bound proved for the programme, for whatever cuts, bounds the cost of every such schedule. *)

From Coq Require Import List Arith NArith ZArith Bool Lia.
From HcbOpt Require Import Sums Model Residency LinearRows FrontierCuts.
Import ListNotations.
Local Open Scope N_scope.

(** * Runs *)

Lemma first_run_runs s o : computed s o = true -> nth_error s (first_run s o) = Some (Compute o).
Proof.
  induction s as [|a s IH]; [discriminate|]. unfold computed. simpl.
  destruct (computes o a) eqn:E; [apply computes_iff in E; now subst|auto].
Qed.

Lemma first_run_first s o t : nth_error s t = Some (Compute o) -> (first_run s o <= t)%nat.
Proof.
  revert t. induction s as [|a s IH]; intros t H; [destruct t; discriminate|]. simpl.
  destruct (computes o a) eqn:E; [lia|]. destruct t as [|t].
  - injection H as ->. simpl in E. now rewrite N.eqb_refl in E.
  - specialize (IH t H). lia.
Qed.

Lemma first_run_within s o : computed s o = true -> (first_run s o < length s)%nat.
Proof. intro H. apply nth_error_Some. rewrite (first_run_runs s o H). discriminate. Qed.

Lemma runs_at_iff s o t : runs_at s o t = true <-> nth_error s t = Some (Compute o).
Proof.
  unfold runs_at. destruct (nth_error s t) as [a|]; [|split; discriminate].
  rewrite computes_iff. split; congruence.
Qed.

(** * Cost of a part of a schedule *)

Definition cost_until (g : graph) (s : schedule) (t : nat) : N := schedule_cost g (firstn t s).

(** Distinct ops that run in a part of a schedule cost no more than the part. *)
Lemma cost_of_distinct_runs g s ops : NoDup ops -> (forall o, In o ops -> computed s o = true) ->
  total (cost g) ops <= schedule_cost g s.
Proof.
  intros Hd Hr. unfold schedule_cost.
  rewrite <- (total_map (action_cost g) Compute) by auto.
  apply total_incl.
  - apply FinFun.Injective_map_NoDup; auto. intros x y [=]; auto.
  - intros a Ha. apply in_map_iff in Ha. destruct Ha as (o & <- & Ho).
    destruct (proj1 (computed_at s o) (Hr o Ho)) as (t & Ht). eapply nth_error_In; eauto.
Qed.

Lemma cost_of_part g s from till ops : (from <= till)%nat -> NoDup ops ->
  (forall o, In o ops -> exists t, (from <= t < till)%nat /\ nth_error s t = Some (Compute o)) ->
  cost_until g s from + total (cost g) ops <= cost_until g s till.
Proof.
  intros Hft Hd Hr. unfold cost_until.
  assert (Hsplit : firstn till s = firstn from s ++ skipn from (firstn till s)).
  { rewrite <- (firstn_skipn from (firstn till s)) at 1. now rewrite firstn_firstn, Nat.min_l by auto. }
  rewrite Hsplit at 1. unfold schedule_cost at 2. rewrite total_app.
  assert (total (cost g) ops <= schedule_cost g (skipn from (firstn till s))); [|unfold schedule_cost in *; lia].
  apply cost_of_distinct_runs; auto. intros o Ho. destruct (Hr o Ho) as (t & Ht & Hn).
  apply computed_at. exists (t - from)%nat.
  rewrite <- (nth_error_firstn_below s till t) in Hn by lia. rewrite Hsplit in Hn.
  assert (Hlen : length (firstn from s) = from).
  { rewrite firstn_length. apply Nat.min_l.
    assert (Hx : nth_error (firstn till s) t <> None) by (rewrite Hsplit; congruence).
    apply nth_error_Some in Hx. rewrite firstn_length in Hx. lia. }
  rewrite nth_error_app2 in Hn by lia. now rewrite Hlen in Hn.
Qed.

(** * The relaxation *)

Section Sound.
  Variables (g : graph) (cuts : list N) (budget : N) (s : schedule).
  Hypothesis graph_is_well_formed : well_formed g.
  Hypothesis cuts_are_valid : cuts_valid g cuts.
  Hypothesis schedule_is_legal : legal g s.
  Hypothesis order_is_fixed : fixed_order s.
  Hypothesis peak_fits : peak g s <= budget.

  Notation first_new := (first_new g cuts).
  Notation last_stage := (last_stage cuts).
  Notation begins := (stage_start cuts s).
  Notation runs_in_stage := (runs_in_stage cuts s).
  Notation after_last_run := (after_last_run cuts s).
  Let actions_allowed := legal_actions g s schedule_is_legal.

  Lemma cut_computed k b : nth_error cuts k = Some b -> computed s b = true.
  Proof.
    intro H. apply (legal_computes g s schedule_is_legal). apply (cuts_exist g cuts cuts_are_valid).
    eapply nth_error_In; eauto.
  Qed.

  (** In a fixed-order schedule, ops first run in their order. *)
  Lemma first_runs_ascend p o : p < o -> computed s o = true -> (first_run s p < first_run s o)%nat.
  Proof.
    intros Hpo Ho. assert (Hf := order_is_fixed _ _ (first_run_runs s o Ho) p Hpo).
    apply computed_before_at in Hf. destruct Hf as (u & Hu & H). apply first_run_first in H. lia.
  Qed.

  Lemma stage_begins_at k : (k <= last_stage)%nat -> (begins k <= begins (S k) <= length s)%nat.
  Proof.
    intro Hk. cbn [stage_start]. destruct (nth_error cuts k) as [b|] eqn:Eb.
    - assert (Hb := cut_computed k b Eb). assert (Hw := first_run_within s b Hb). split; [|lia].
      destruct k as [|k]; [simpl; lia|]. simpl. destruct (nth_error cuts k) as [a|] eqn:Ea.
      + assert (H := first_runs_ascend a b (cuts_ascend g cuts cuts_are_valid k a b Ea Eb) Hb). lia.
      + apply nth_error_None in Ea. assert (nth_error cuts (S k) <> None) as H by congruence.
        apply nth_error_Some in H. lia.
    - split; [|lia]. destruct k as [|k]; [simpl; lia|]. simpl. destruct (nth_error cuts k) as [a|] eqn:Ea; [|lia].
      assert (H := first_run_within s a (cut_computed k a Ea)). lia.
  Qed.

  Lemma last_stage_ends : begins (S last_stage) = length s.
  Proof.
    simpl. destruct (nth_error cuts _) eqn:E; auto.
    assert (nth_error cuts (length cuts) = None) as H by (apply nth_error_None; lia).
    unfold FrontierCuts.last_stage in E. congruence.
  Qed.

  Lemma last_first_new : first_new (S last_stage) = op_count g.
  Proof.
    simpl. destruct (nth_error cuts _) eqn:E; auto.
    assert (nth_error cuts (length cuts) = None) as H by (apply nth_error_None; lia).
    unfold FrontierCuts.last_stage in E. congruence.
  Qed.

  Lemma first_new_ascends k : (k <= last_stage)%nat -> first_new k <= first_new (S k) <= op_count g.
  Proof.
    intro Hk. simpl first_new at 2 3. destruct (nth_error cuts k) as [b|] eqn:Eb.
    - assert (Hb := cuts_exist g cuts cuts_are_valid b (nth_error_In _ _ Eb)). split; [|lia].
      destruct k as [|k]; [simpl; lia|]. simpl. destruct (nth_error cuts k) as [a|] eqn:Ea.
      + assert (H := cuts_ascend g cuts cuts_are_valid k a b Ea Eb). lia.
      + apply nth_error_None in Ea. assert (nth_error cuts (S k) <> None) as H by congruence.
        apply nth_error_Some in H. lia.
    - split; [|lia]. destruct k as [|k]; [simpl; lia|]. simpl. destruct (nth_error cuts k) as [a|] eqn:Ea; [|lia].
      assert (H := cuts_exist g cuts cuts_are_valid a (nth_error_In _ _ Ea)). lia.
  Qed.

  Lemma runs_in_stage_iff k o : runs_in_stage k o = true <->
    exists t, (begins k <= t < begins (S k))%nat /\ nth_error s t = Some (Compute o).
  Proof.
    unfold FrontierCuts.runs_in_stage, stage_positions. rewrite existsb_exists. split.
    - intros (t & Ht & Hr). apply in_seq in Ht. apply runs_at_iff in Hr. exists t. split; auto. lia.
    - intros (t & Ht & Hr). exists t. split; [apply in_seq; lia|now apply runs_at_iff].
  Qed.

  (** The new ops of a stage run in it. *)
  Lemma new_ops_run k o : (k <= last_stage)%nat -> first_new k <= o < first_new (S k) -> runs_in_stage k o = true.
  Proof.
    intros Hk Ho. assert (Hcount := first_new_ascends k Hk).
    assert (Hc : computed s o = true) by (apply (legal_computes g s schedule_is_legal); lia).
    apply runs_in_stage_iff. exists (first_run s o). split; [|now apply first_run_runs]. split.
    - destruct k as [|k]; simpl; [lia|]. destruct Ho as [Ho _]. simpl in Ho.
      destruct (nth_error cuts k) as [b|] eqn:Eb.
      + apply first_runs_ascend; auto. lia.
      + apply nth_error_None in Eb. unfold FrontierCuts.last_stage in Hk. lia.
    - simpl. destruct Ho as [_ Ho]. simpl in Ho. destruct (nth_error cuts k) as [b|] eqn:Eb.
      + destruct (N.eq_dec o b) as [->|]; [lia|].
        assert (H := first_runs_ascend o b ltac:(lia) (cut_computed k b Eb)). lia.
      + now apply first_run_within.
  Qed.

  (** A value resident at some instant of a stage was resident when the stage began, or its producer ran in it. *)
  Lemma source_in_stage k v t : (k <= last_stage)%nat -> (begins k <= t <= begins (S k))%nat ->
    state_before g s t v = true -> runs_in_stage k (producer g v) = true \/ state_before g s (begins k) v = true.
  Proof.
    intros Hk Ht Hv. assert (Hb := stage_begins_at k Hk).
    destruct (residents_have_a_source g graph_is_well_formed s v (begins k) t actions_allowed ltac:(lia) Hv)
      as [H|(u & Hu & H)]; [right; auto|left]. apply runs_in_stage_iff. exists u. split; auto. lia.
  Qed.

  (** The same of the time from a stage's begin to the end. *)
  Definition runs_from (k : nat) (o : N) : bool :=
    existsb (runs_at s o) (seq (begins k) (length s - begins k)).

  Lemma runs_from_iff k o : (k <= last_stage)%nat -> runs_from k o = true <->
    exists t, (begins k <= t < length s)%nat /\ nth_error s t = Some (Compute o).
  Proof.
    intro Hk. assert (Hb := stage_begins_at k Hk). unfold runs_from. rewrite existsb_exists. split.
    - intros (t & Ht & Hr). apply in_seq in Ht. apply runs_at_iff in Hr. exists t. split; auto. lia.
    - intros (t & Ht & Hr). exists t. split; [apply in_seq; lia|now apply runs_at_iff].
  Qed.

  Lemma source_in_tail k v t : (k <= last_stage)%nat -> (begins k <= t <= length s)%nat ->
    state_before g s t v = true -> runs_from k (producer g v) = true \/ state_before g s (begins k) v = true.
  Proof.
    intros Hk Ht Hv.
    destruct (residents_have_a_source g graph_is_well_formed s v (begins k) t actions_allowed ltac:(lia) Hv)
      as [H|(u & Hu & H)]; [right; auto|left]. apply runs_from_iff; auto. exists u. split; auto. lia.
  Qed.

  (** Ops that are new in a stage or a later one run from that stage on. *)
  Lemma later_ops_run k o : (k <= last_stage)%nat -> first_new k <= o < op_count g ->
    exists t, (begins k <= t < length s)%nat /\ nth_error s t = Some (Compute o).
  Proof.
    intros Hk Ho. assert (Hc : computed s o = true) by (apply (legal_computes g s schedule_is_legal); lia).
    exists (first_run s o). split; [|now apply first_run_runs]. split; [|now apply first_run_within].
    destruct k as [|k]; simpl; [lia|]. destruct Ho as [Ho _]. simpl in Ho.
    destruct (nth_error cuts k) as [b|] eqn:Eb.
    - apply first_runs_ascend; auto. lia.
    - apply nth_error_None in Eb. unfold FrontierCuts.last_stage in Hk. lia.
  Qed.

  (** * Last runs *)

  (** The position right after the last of some positions, or [from]. *)
  Lemma largest_position from positions top : top = fold_right Nat.max from (map S positions) ->
    (from <= top)%nat /\ (forall t, In t positions -> (S t <= top)%nat) /\
    (top = from \/ exists t, In t positions /\ top = S t).
  Proof.
    revert top. induction positions as [|u positions IH]; intros top ->; cbn [map fold_right].
    - repeat split; auto. intros t [].
    - destruct (IH _ eq_refl) as (IH1 & IH2 & IH3). clear IH.
      set (rest := fold_right Nat.max from (map S positions)) in *.
      split; [lia|split].
      + intros t [<-|Ht]; [lia|specialize (IH2 t Ht); lia].
      + destruct (Nat.max_spec (S u) rest) as [[_ ->]|[_ ->]].
        * destruct IH3 as [?|(t & Ht & Et)]; [left; auto|right; exists t; split; auto; right; auto].
        * right. exists u. split; [left|]; auto.
  Qed.

  Lemma after_last_run_bounds k o : (k <= last_stage)%nat -> (begins k <= after_last_run k o <= begins (S k))%nat.
  Proof.
    intro Hk. assert (Hb := stage_begins_at k Hk). unfold FrontierCuts.after_last_run.
    destruct (largest_position (begins k) (filter (runs_at s o) (stage_positions cuts s k)) _ eq_refl) as (H1 & _ & H3).
    split; auto. destruct H3 as [->|(t & Ht & ->)]; [lia|]. apply filter_In in Ht. destruct Ht as [Ht _].
    apply in_seq in Ht. lia.
  Qed.

  Lemma runs_before_last k o t : (begins k <= t < begins (S k))%nat -> nth_error s t = Some (Compute o) ->
    (S t <= after_last_run k o)%nat.
  Proof.
    intros Ht Hr. unfold FrontierCuts.after_last_run.
    destruct (largest_position (begins k) (filter (runs_at s o) (stage_positions cuts s k)) _ eq_refl) as (_ & H2 & _).
    apply H2. apply filter_In. split; [apply in_seq; lia|now apply runs_at_iff].
  Qed.

  Lemma last_run_runs k o : after_last_run k o = begins k \/
    exists t, (begins k <= t < begins (S k))%nat /\ nth_error s t = Some (Compute o) /\ after_last_run k o = S t.
  Proof.
    unfold FrontierCuts.after_last_run.
    destruct (largest_position (begins k) (filter (runs_at s o) (stage_positions cuts s k)) _ eq_refl) as (_ & _ & H3).
    destruct H3 as [->|(t & Ht & ->)]; [left; auto|right]. apply filter_In in Ht. destruct Ht as [Ht Hr].
    apply in_seq in Ht. exists t. split; [lia|]. split; auto. now apply runs_at_iff.
  Qed.

  (** A value resident later in the stage than o's last run was resident then, or its producer last runs after it. *)
  Lemma kept_or_written_later k o v t : (k <= last_stage)%nat ->
    (after_last_run k o <= t <= begins (S k))%nat -> state_before g s t v = true ->
    state_before g s (after_last_run k o) v = true \/ (after_last_run k o < after_last_run k (producer g v))%nat.
  Proof.
    intros Hk Ht Hv. assert (Hb := stage_begins_at k Hk). assert (Ha := after_last_run_bounds k o Hk).
    destruct (residents_have_a_source g graph_is_well_formed s v (after_last_run k o) t actions_allowed
                ltac:(lia) Hv) as [H|(u & Hu & H)]; [left; auto|right].
    assert (Hl := runs_before_last k _ u ltac:(lia) H). lia.
  Qed.

  (** * Every row holds *)

  Lemma point_1 x : chosen g cuts s x = true -> point g cuts s x = 1%Z.
  Proof. unfold point. now intros ->. Qed.

  Lemma point_range x : (0 <= point g cuts s x <= 1)%Z.
  Proof. unfold point. destruct (chosen g cuts s x); lia. Qed.

  Lemma workset_and_untouched t o : nth_error s t = Some (Compute o) ->
    workset g o + total (fun v => if state_before g s (S t) v then size g v else 0) (untouched g o) <= budget.
  Proof.
    intro Ht. etransitivity; [|apply peak_fits]. etransitivity; [|apply (bytes_at_le_peak g s t)].
    apply workset_and_others; auto.
    - apply NoDup_filter, distinct_below.
    - intros v Hv. apply filter_In in Hv. destruct Hv as [Hv Hn]. apply in_below in Hv. split; auto.
      apply negb_true_iff, among_not_in in Hn. auto.
  Qed.

  (** The state in which a later stage begins is that right after its cut's first run. *)
  Lemma cut_run k b : nth_error cuts k = Some b ->
    exists t, nth_error s t = Some (Compute b) /\ begins (S k) = S t.
  Proof.
    intro Hb. exists (first_run s b). split; [apply first_run_runs; eapply cut_computed; eauto|]. simpl. now rewrite Hb.
  Qed.

  Lemma when_some {A} condition (result r : A) : when condition result = Some r -> condition = true /\ r = result.
  Proof. unfold when. destruct condition; [|discriminate]. intros [= <-]. auto. Qed.

  Ltac conditions H :=
    apply when_some in H; destruct H as [H ->]; repeat (apply andb_true_iff in H; destruct H as [H ?]);
    repeat match goal with
    | H : (_ <=? _)%nat = true |- _ => apply Nat.leb_le in H
    | H : (_ <? _)%nat = true |- _ => apply Nat.ltb_lt in H
    | H : among _ _ = true |- _ => apply among_in in H
    end.

  Ltac open_row :=
    unfold kept_or_written, source, tail_source, evaluate; cbn [terms bound app fold_right fst snd]; unfold point;
      cbn [chosen];
    repeat match goal with
    | |- context [existsb (runs_at s ?o) (seq (begins ?k) (length s - begins ?k))] => fold (runs_from k o)
    end.

  (** Soundness: the point of the schedule satisfies every row of the programme, order rows included. *)
  Theorem schedule_satisfies_row name r :
    row_of g cuts budget name = Some r -> satisfies (point g cuts s) r.
  Proof.
    destruct name as [k o v|k p v|k v|k|v|k o q|k o q|k o q|k o v|k o v|o v|k o q v|k o|k o|k o|k o|k o v|k p v|k v];
      simpl; intro H;
      unfold satisfies.
    - (* available *)
      conditions H. open_row.
      destruct (runs_in_stage k o) eqn:Ro; [|destruct (runs_in_stage k (producer g v)), (state_before g s (begins k)
        v); lia].
      apply runs_in_stage_iff in Ro. destruct Ro as (t & Ht & Hr). destruct (actions_allowed t _ Hr) as [_ Hin].
      destruct (source_in_stage k v t H ltac:(lia) (Hin v ltac:(auto))) as [-> | ->];
        [destruct (state_before g s (begins k) v)|destruct (runs_in_stage k (producer g v))]; lia.
    - (* needed *)
      conditions H. open_row.
      match goal with Hn : new _ _ _ _ = true |- _ => apply andb_true_iff in Hn; destruct Hn as [Hn1 Hn2] end.
      apply N.leb_le in Hn1. apply N.ltb_lt in Hn2.
      assert (Ro := new_ops_run k p H (conj Hn1 Hn2)).
      apply runs_in_stage_iff in Ro. destruct Ro as (t & Ht & Hr). destruct (actions_allowed t _ Hr) as [_ Hin].
      destruct (source_in_stage k v t H ltac:(lia) (Hin v ltac:(auto))) as [-> | ->];
        [destruct (state_before g s (begins k) v)|destruct (runs_in_stage k (producer g v))]; lia.
    - (* carried *)
      conditions H. assert (Hb := stage_begins_at k ltac:(lia)). open_row.
      destruct (state_before g s (begins (S k)) v) eqn:Ev;
        [|destruct (runs_in_stage k (producer g v)), (state_before g s (begins k) v); simpl; lia].
      destruct (source_in_stage k v (begins (S k)) ltac:(lia) ltac:(lia) Ev) as [-> | ->];
        [destruct (state_before g s (begins k) v)|destruct (runs_in_stage k (producer g v))]; simpl; lia.
    - (* cut memory *)
      destruct (nth_error cuts k) as [b|] eqn:Eb; [|discriminate]. injection H as <-. cbn [terms bound].
      destruct (cut_run k b Eb) as (t & Ht & Ebegin).
      rewrite (evaluate_weighted _ (size g) (Carry (S k)) (fun v => state_before g s (S t) v) (-1)).
      + assert (Hw := workset_and_untouched t b Ht). lia.
      + intros v _. unfold point. cbn [chosen]. now rewrite Ebegin.
    - (* outputs *)
      conditions H. open_row.
      assert (Hv := legal_outputs g s schedule_is_legal v H). rewrite <- state_before_end, <- last_stage_ends in Hv.
      destruct (source_in_stage last_stage v _ (le_n _) ltac:(split; [apply (stage_begins_at _ (le_n _))|auto]) Hv)
        as [-> | ->];
        [destruct (state_before g s (begins last_stage) v)|destruct (runs_in_stage last_stage (producer g v))]; lia.
    - (* later runs *)
      conditions H. open_row.
      destruct (Nat.ltb_spec (after_last_run k o) (after_last_run k q)); [|destruct (runs_in_stage k q); lia].
      assert (Ha := after_last_run_bounds k o H).
      destruct (last_run_runs k q) as [E|(t & Ht & Hr & E)]; [lia|].
      rewrite (proj2 (runs_in_stage_iff k q)) by eauto. lia.
    - (* not both later *)
      conditions H. open_row.
      destruct (Nat.ltb_spec (after_last_run k o) (after_last_run k q)),
               (Nat.ltb_spec (after_last_run k q) (after_last_run k o)); lia.
    - (* one is later *)
      conditions H. open_row.
      destruct (runs_in_stage k o) eqn:Eo, (runs_in_stage k q) eqn:Eq;
        destruct (Nat.ltb_spec (after_last_run k o) (after_last_run k q)),
                 (Nat.ltb_spec (after_last_run k q) (after_last_run k o)); try lia.
      exfalso. apply runs_in_stage_iff in Eo, Eq. destruct Eo as (t & Ht & Hr), Eq as (u & Hu & Hq).
      assert (Ha := runs_before_last k o t Ht Hr). assert (Hb := runs_before_last k q u Hu Hq).
      destruct (last_run_runs k o) as [E|(t' & Ht' & Hr' & E)]; [lia|].
      destruct (last_run_runs k q) as [E2|(u' & Hu' & Hq' & E2)]; [lia|].
      assert (t' = u') by lia. subst. assert (o = q) by congruence. subst.
      match goal with Hn : negb (q =? q) = true |- _ => rewrite N.eqb_refl in Hn; discriminate end.
    - (* held to the end *)
      conditions H. assert (Hb := stage_begins_at k ltac:(lia)).
      open_row.
      destruct (state_before g s (begins (S k)) v) eqn:Ev;
        [|destruct (state_before g s (after_last_run k o) v), (_ <? _)%nat; simpl; lia].
      destruct (kept_or_written_later k o v (begins (S k)) ltac:(lia)
                  ltac:(split; [apply (after_last_run_bounds k o); lia|auto]) Ev) as [-> | Hl].
      + destruct (_ <? _)%nat; simpl; lia.
      + rewrite (proj2 (Nat.ltb_lt _ _) Hl). destruct (state_before g s (after_last_run k o) v); simpl; lia.
    - (* held for the cut *)
      destruct (nth_error cuts k) as [b|] eqn:Eb; [|discriminate]. conditions H.
      assert (Hk : (k < last_stage)%nat) by (apply nth_error_Some; congruence).
      destruct (cut_run k b Eb) as (t & Ht & Ebegin).
      assert (Ev : state_before g s (begins (S k)) v = true).
      { rewrite Ebegin. apply (touched_resident g s t b v actions_allowed Ht). apply in_or_app. auto. }
      open_row.
      destruct (kept_or_written_later k o v (begins (S k)) ltac:(lia)
                  ltac:(split; [apply (after_last_run_bounds k o); lia|auto]) Ev) as [-> | Hl].
      + destruct (_ <? _)%nat; simpl; lia.
      + rewrite (proj2 (Nat.ltb_lt _ _) Hl). destruct (state_before g s (after_last_run k o) v); simpl; lia.
    - (* held for an output *)
      conditions H. assert (Ev := legal_outputs g s schedule_is_legal v H).
      rewrite <- state_before_end, <- last_stage_ends in Ev.
      open_row.
      destruct (kept_or_written_later last_stage o v _ (le_n _)
                  ltac:(split; [apply (after_last_run_bounds last_stage o); lia|auto]) Ev) as [-> | Hl].
      + destruct (_ <? _)%nat; simpl; lia.
      + rewrite (proj2 (Nat.ltb_lt _ _) Hl). destruct (state_before g s (after_last_run last_stage o) v); simpl; lia.
    - (* held for a run *)
      conditions H. open_row.
      destruct (Nat.ltb_spec (after_last_run k o) (after_last_run k q)) as [Hoq|Hoq];
        [|destruct (state_before g s (after_last_run k o) v), (_ <? _)%nat; simpl; lia].
      assert (Ha := after_last_run_bounds k o H). destruct (last_run_runs k q) as [E|(t & Ht & Hr & E)]; [lia|].
      destruct (actions_allowed t _ Hr) as [_ Hin].
      destruct (kept_or_written_later k o v t H ltac:(lia) (Hin v ltac:(auto))) as [-> | Hl].
      + destruct (_ <? _)%nat; simpl; lia.
      + rewrite (proj2 (Nat.ltb_lt _ _) Hl). destruct (state_before g s (after_last_run k o) v); simpl; lia.
    - (* memory at a last run *)
      conditions H. cbn [terms bound]. rewrite evaluate_app.
      rewrite (evaluate_weighted _ (size g) (HeldAt k o) (fun v => state_before g s (after_last_run k o) v) (-1))
        by reflexivity.
      open_row.
      destruct (last_run_runs k o) as [E|(t & Ht & Hr & E)].
      + assert (Hno : runs_in_stage k o = false).
        { destruct (runs_in_stage k o) eqn:Er; auto. apply runs_in_stage_iff in Er. destruct Er as (t & Ht & Hr).
          assert (Ha := runs_before_last k o t Ht Hr). lia. }
        rewrite Hno. assert (Hb := stage_begins_at k H).
        assert (Hbytes : total (fun v => if state_before g s (after_last_run k o) v then size g v else 0)
                           (untouched g o) <= budget).
        { etransitivity; [|apply peak_fits].
          etransitivity; [|apply (bytes_between_le_peak g s (after_last_run k o) actions_allowed); lia].
          apply bytes_of_some; [apply NoDup_filter, distinct_below|].
          intros v Hv. apply filter_In in Hv. apply in_below. tauto. }
        lia.
      + rewrite (proj2 (runs_in_stage_iff k o)) by eauto. assert (Hw := workset_and_untouched t o Hr).
        rewrite E. lia.
    - (* the tail splits *)
      conditions H. destruct (Nat.ltb_spec k last_stage) as [Hlast|Hlast]; open_row.
      + destruct (runs_from k o) eqn:Ro; [|destruct (runs_from (S k) o), (runs_in_stage k o); lia].
        apply runs_from_iff in Ro; auto. destruct Ro as (t & Ht & Hr).
        destruct (Nat.lt_ge_cases t (begins (S k))) as [Hlt|Hge].
        * rewrite (proj2 (runs_in_stage_iff k o)) by (exists t; split; auto; lia). destruct (runs_from (S k) o); lia.
        * rewrite (proj2 (runs_from_iff (S k) o ltac:(lia))) by (exists t; split; auto; lia).
          destruct (runs_in_stage k o); lia.
      + assert (k = last_stage) by lia. subst k.
        destruct (runs_from last_stage o) eqn:Ro; [|destruct (runs_in_stage last_stage o); lia].
        apply runs_from_iff in Ro; auto. destruct Ro as (t & Ht & Hr).
        rewrite (proj2 (runs_in_stage_iff last_stage o)); [lia|]. exists t. rewrite last_stage_ends. auto.
    - (* the tail has the stage *)
      conditions H. open_row. destruct (runs_in_stage k o) eqn:Ro; [|destruct (runs_from k o); lia].
      apply runs_in_stage_iff in Ro. destruct Ro as (t & Ht & Hr). assert (Hb := stage_begins_at k H).
      rewrite (proj2 (runs_from_iff k o H)) by (exists t; split; auto; lia). lia.
    - (* the tail has the later stages *)
      conditions H. open_row. destruct (runs_from (S k) o) eqn:Ro; [|destruct (runs_from k o); lia].
      apply runs_from_iff in Ro; [|lia]. destruct Ro as (t & Ht & Hr). assert (Hb := stage_begins_at k ltac:(lia)).
      rewrite (proj2 (runs_from_iff k o ltac:(lia))) by (exists t; split; auto; lia). lia.
    - (* available in the tail *)
      conditions H. open_row.
      destruct (runs_from k o) eqn:Ro; [|destruct (runs_from k (producer g v)), (state_before g s (begins k) v); lia].
      apply runs_from_iff in Ro; auto. destruct Ro as (t & Ht & Hr). destruct (actions_allowed t _ Hr) as [_ Hin].
      destruct (source_in_tail k v t H ltac:(lia) (Hin v ltac:(auto))) as [-> | ->];
        [destruct (state_before g s (begins k) v)|destruct (runs_from k (producer g v))]; lia.
    - (* needed in the tail *)
      conditions H. open_row.
      repeat match goal with
      | Hn : (_ <=? _) = true |- _ => apply N.leb_le in Hn
      | Hn : (_ <? _) = true |- _ => apply N.ltb_lt in Hn
      end.
      destruct (later_ops_run k p H ltac:(lia)) as (t & Ht & Hr). destruct (actions_allowed t _ Hr) as [_ Hin].
      destruct (source_in_tail k v t H ltac:(lia) (Hin v ltac:(auto))) as [-> | ->];
        [destruct (state_before g s (begins k) v)|destruct (runs_from k (producer g v))]; lia.
    - (* outputs in the tail *)
      conditions H. open_row. assert (Hb := stage_begins_at k H).
      assert (Hv := legal_outputs g s schedule_is_legal v ltac:(auto)). rewrite <- state_before_end in Hv.
      destruct (source_in_tail k v (length s) H ltac:(lia) Hv) as [-> | ->];
        [destruct (state_before g s (begins k) v)|destruct (runs_from k (producer g v))]; lia.
  Qed.

  (** * The objective *)

  (** The objective of the first stages and the first runs so far cost no more than the schedule so far. *)
  Lemma objective_until j : (j <= S last_stage)%nat ->
    (evaluate (point g cuts s) (flat_map (stage_objective g cuts) (seq 0 j)) +
     Z.of_N (total (cost g) (below (first_new j))) <= Z.of_N (cost_until g s (begins j)))%Z.
  Proof.
    induction j as [|j IH]; intro Hj; [simpl; lia|]. specialize (IH ltac:(lia)).
    rewrite seq_S, flat_map_app, evaluate_app. simpl flat_map. rewrite app_nil_r.
    unfold stage_objective at 2.
    rewrite (evaluate_weighted _ (cost g) (Recompute j) (runs_in_stage j) 1) by reflexivity.
    assert (Hn := first_new_ascends j ltac:(lia)). assert (Hb := stage_begins_at j ltac:(lia)).
    set (fresh := count_up (N.to_nat (first_new (S j) - first_new j)) (first_new j)).
    assert (Hbelow : below (first_new (S j)) = below (first_new j) ++ fresh).
    { apply below_split. lia. }
    rewrite Hbelow, total_app. rewrite <- total_filter.
    assert (Hcost := cost_of_part g s (begins j) (begins (S j))
      (filter (runs_in_stage j) (below (first_new j)) ++ fresh) ltac:(lia)).
    rewrite total_app in Hcost.
    assert (cost_until g s (begins j) + (total (cost g) (filter (runs_in_stage j) (below (first_new j))) +
      total (cost g) fresh) <= cost_until g s (begins (S j))).
    { apply Hcost.
      - apply distinct_app; [apply NoDup_filter, distinct_below|apply distinct_count_up|].
        intros o Ho Hf. apply filter_In in Ho. destruct Ho as [Ho _]. apply in_below in Ho.
        apply in_count_up in Hf. lia.
      - intros o Ho. apply in_app_or in Ho. destruct Ho as [Ho|Ho].
        + apply filter_In in Ho. destruct Ho as [_ Ho]. now apply runs_in_stage_iff.
        + apply in_count_up in Ho. apply runs_in_stage_iff, new_ops_run; lia. }
    lia.
  Qed.

  (** The point costs no more than the schedule does on top of every op's cost once. *)
  Theorem objective_bounds_cost :
    (evaluate (point g cuts s) (objective g cuts) + Z.of_N (base_cost g) <= Z.of_N (schedule_cost g s))%Z.
  Proof.
    assert (H := objective_until (S last_stage) (le_n _)). rewrite last_stage_ends, last_first_new in H.
    unfold cost_until in H. rewrite firstn_all in H. exact H.
  Qed.
End Sound.

(** The frontier-cut relaxation is sound. For any cuts, every legal fixed-order schedule within budget gives a 0/1
    point that satisfies every row of the programme and costs no more. *)
Theorem frontier_cuts_sound g cuts budget s :
  well_formed g -> cuts_valid g cuts -> legal g s -> fixed_order s -> peak g s <= budget ->
  exists x : variable -> Z,
    (forall name, x name = 0%Z \/ x name = 1%Z) /\
    (forall name r, row_of g cuts budget name = Some r -> satisfies x r) /\
    (evaluate x (objective g cuts) + Z.of_N (base_cost g) <= Z.of_N (schedule_cost g s))%Z.
Proof.
  intros W C L F P. exists (point g cuts s). repeat split.
  - intro name. unfold point. destruct (chosen g cuts s name); auto.
  - intros name r H. eapply schedule_satisfies_row; eauto.
  - eapply objective_bounds_cost; eauto.
Qed.

(** Hence whatever bounds the programme's objective from below bounds every such schedule. *)
Corollary dual_bound_holds g cuts budget dual :
  well_formed g -> cuts_valid g cuts ->
  (forall x : variable -> Z,
     (forall name, (0 <= x name <= 1)%Z) ->
     (forall name r, row_of g cuts budget name = Some r -> satisfies x r) ->
     (dual <= evaluate x (objective g cuts))%Z) ->
  forall s, legal g s -> fixed_order s -> peak g s <= budget ->
  (dual + Z.of_N (base_cost g) <= Z.of_N (schedule_cost g s))%Z.
Proof.
  intros W C D s L F P. destruct (frontier_cuts_sound g cuts budget s W C L F P) as (x & H01 & Hrows & Hcost).
  specialize (D x ltac:(intro name; destruct (H01 name) as [-> | ->]; lia) Hrows). lia.
Qed.
