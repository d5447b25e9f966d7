(** Where resident values come from, and what they weigh: the facts that every bound starts from. *)

From Coq Require Import List Arith NArith Bool Lia.
From HcbOpt Require Import Sums Model.
Import ListNotations.
Local Open Scope N_scope.

Lemma firstn_snoc {A} (s : list A) t a : nth_error s t = Some a -> firstn (S t) s = firstn t s ++ [a].
Proof.
  revert t; induction s as [|x s IH]; intros [|t] H; try discriminate.
  - injection H as ->. reflexivity.
  - cbn [nth_error] in H. cbn [firstn app]. now rewrite <- (IH t H).
Qed.

Lemma nth_error_firstn_below {A} (s : list A) t u : (u < t)%nat -> nth_error (firstn t s) u = nth_error s u.
Proof.
  revert s u; induction t as [|t IH]; intros [|x s] [|u] H; try lia; auto. simpl. apply IH. lia.
Qed.

Lemma computes_iff o a : computes o a = true <-> a = Compute o.
Proof.
  destruct a as [p|v]; simpl; [|split; discriminate].
  rewrite N.eqb_eq. split; [intros ->; auto|intros [= ->]; auto].
Qed.

(** An op is computed if, and only if, some position of the schedule computes it. *)
Lemma computed_at s o : computed s o = true <-> exists t, nth_error s t = Some (Compute o).
Proof.
  unfold computed. rewrite existsb_exists. split.
  - intros (a & Ha & E). apply computes_iff in E. subst. now apply In_nth_error.
  - intros (t & H). exists (Compute o). split; [eapply nth_error_In; eauto|now apply computes_iff].
Qed.

Lemma computed_before_at s o t :
  computed (firstn t s) o = true <-> exists u, (u < t)%nat /\ nth_error s u = Some (Compute o).
Proof.
  rewrite computed_at. split.
  - intros (u & H). assert (Hu : (u < length (firstn t s))%nat) by (apply nth_error_Some; congruence).
    rewrite firstn_length in Hu. exists u. split; [lia|].
    rewrite <- (nth_error_firstn_below s t u) by lia. auto.
  - intros (u & Hu & H). exists u. now rewrite nth_error_firstn_below.
Qed.

Lemma computed_app one two o : computed (one ++ two) o = computed one o || computed two o.
Proof. apply existsb_app. Qed.

Section Residency.
  Variable g : graph.
  Hypothesis graph_is_well_formed : well_formed g.

  Lemma state_after_snoc s a : state_after g (s ++ [a]) = after g (state_after g s) a.
  Proof. unfold state_after. rewrite fold_left_app. reflexivity. Qed.

  Lemma state_before_next s t a :
    nth_error s t = Some a -> state_before g s (S t) = after g (state_before g s t) a.
  Proof. intro H. unfold state_before. now rewrite (firstn_snoc s t a H), state_after_snoc. Qed.

  Lemma state_before_start s : state_before g s 0 = nothing_resident.
  Proof. reflexivity. Qed.

  Lemma state_before_end s : state_before g s (length s) = state_after g s.
  Proof. unfold state_before. now rewrite firstn_all. Qed.

  (** Right after an op ran, its outputs are resident, and its inputs still are. *)
  Lemma touched_resident s t o v : every_action_allowed g s -> nth_error s t = Some (Compute o) ->
    In v (inputs g o ++ outputs g o) -> state_before g s (S t) v = true.
  Proof.
    intros Hs Ht Hv. rewrite (state_before_next s t _ Ht). simpl. apply orb_true_iff.
    apply in_app_or in Hv. destruct Hv as [Hv|Hv].
    - right. apply (Hs t _ Ht). auto.
    - left. now apply among_in.
  Qed.

  (** Values that an op does not write are resident after its run exactly if they were before. *)
  Lemma untouched_unchanged s t o v : nth_error s t = Some (Compute o) -> ~ In v (outputs g o) ->
    state_before g s (S t) v = state_before g s t v.
  Proof.
    intros Ht Hv. rewrite (state_before_next s t _ Ht). simpl. now rewrite (proj2 (among_not_in _ _) Hv).
  Qed.

  (** The source of a resident value: it was resident at any earlier instant, or its producer ran in between. *)
  Theorem residents_have_a_source s v from till : every_action_allowed g s ->
    (from <= till <= length s)%nat -> state_before g s till v = true ->
    state_before g s from v = true \/
    exists t, (from <= t < till)%nat /\ nth_error s t = Some (Compute (producer g v)).
  Proof.
    intros Hs. remember (till - from)%nat as gap eqn:E. revert till E.
    induction gap as [|gap IH]; intros till E Hr Hv; [left; replace from with till by lia; auto|].
    destruct till as [|till]; [lia|].
    destruct (nth_error s till) as [a|] eqn:Ea; [|apply nth_error_None in Ea; lia].
    rewrite (state_before_next s till a Ea) in Hv.
    assert (Hbefore : state_before g s till v = true ->
      state_before g s from v = true \/
      exists t, (from <= t < S till)%nat /\ nth_error s t = Some (Compute (producer g v))).
    { intro H. destruct (IH till) as [?|(t & ? & ?)]; auto; try lia. right. exists t. split; auto. lia. }
    destruct a as [o|u]; simpl in Hv.
    - apply orb_true_iff in Hv. destruct Hv as [Hv|Hv]; auto.
      apply among_in in Hv. right. exists till. split; [lia|].
      destruct (Hs till _ Ea) as [Ho _].
      destruct (outputs_name_their_producer g graph_is_well_formed o v Ho Hv) as [_ ->]. auto.
    - apply andb_true_iff in Hv. tauto.
  Qed.

  (** What is resident was computed before. *)
  Corollary resident_was_computed s v t : every_action_allowed g s -> (t <= length s)%nat ->
    state_before g s t v = true -> computed (firstn t s) (producer g v) = true.
  Proof.
    intros Hs Ht Hv. destruct (residents_have_a_source s v 0 t Hs ltac:(lia) Hv) as [H|(u & Hu & H)].
    - discriminate.
    - apply computed_before_at. exists u. split; auto; lia.
  Qed.

  (** What an op reads was computed, if the op was. *)
  Corollary inputs_were_computed s o v : every_action_allowed g s -> computed s o = true -> In v (inputs g o) ->
    computed s (producer g v) = true.
  Proof.
    intros Hs Ho Hv. apply computed_at in Ho. destruct Ho as (t & Ht). destruct (Hs t _ Ht) as [_ Hin].
    assert (Hl : (t < length s)%nat) by (apply nth_error_Some; congruence).
    assert (Hc := resident_was_computed s v t Hs ltac:(lia) (Hin v Hv)).
    apply computed_before_at in Hc. destruct Hc as (u & _ & Hu). apply computed_at. eauto.
  Qed.

  (** Only values of the graph are ever resident. *)
  Lemma residents_exist s v t : every_action_allowed g s -> (t <= length s)%nat ->
    state_before g s t v = true -> v < value_count g.
  Proof.
    intros Hs. revert v. induction t as [|t IH]; intros v Ht Hv; [discriminate|].
    destruct (nth_error s t) as [a|] eqn:Ea; [|apply nth_error_None in Ea; lia].
    rewrite (state_before_next s t a Ea) in Hv. destruct a as [o|u]; simpl in Hv.
    - apply orb_true_iff in Hv. destruct Hv as [Hv|Hv]; [|apply IH; auto; lia].
      apply among_in in Hv. destruct (Hs t _ Ea) as [Ho _].
      apply (outputs_name_their_producer g graph_is_well_formed o v Ho Hv).
    - apply andb_true_iff in Hv. apply IH; [lia|tauto].
  Qed.

  (** Distinct values, counted only where they are resident, weigh no more than what is resident. *)
  Lemma bytes_of_some (now : state) (some : list N) : NoDup some -> (forall v, In v some -> v < value_count g) ->
    total (fun v => if now v then size g v else 0) some <= bytes g now.
  Proof.
    intros Hd Hi. apply total_incl; auto. intros v Hv. apply in_below. auto.
  Qed.

  (** Distinct resident values weigh no more than what is resident. *)
  Corollary bytes_of_residents (now : state) (some : list N) : NoDup some -> (forall v, In v some ->
    v < value_count g /\ now v = true) ->
    total (size g) some <= bytes g now.
  Proof.
    intros Hd Hi. etransitivity; [|apply (bytes_of_some now some Hd); intros v Hv; apply Hi; auto].
    apply total_le. intros v Hv. cbv beta. destruct (Hi v Hv) as [_ ->]. lia.
  Qed.

  (** An op's inputs and outputs are distinct values of the graph. *)
  Lemma touched_distinct o : o < op_count g -> NoDup (inputs g o ++ outputs g o).
  Proof.
    intro Ho. apply distinct_app.
    - apply (inputs_distinct g graph_is_well_formed o Ho).
    - apply (outputs_distinct g graph_is_well_formed o Ho).
    - intros v Hin Hout. destruct (inputs_come_before g graph_is_well_formed o v Ho Hin).
      destruct (outputs_name_their_producer g graph_is_well_formed o v Ho Hout). lia.
  Qed.

  Lemma touched_exist o v : o < op_count g -> In v (inputs g o ++ outputs g o) -> v < value_count g.
  Proof.
    intros Ho Hv. apply in_app_or in Hv. destruct Hv as [Hv|Hv].
    - apply (inputs_come_before g graph_is_well_formed o v Ho Hv).
    - apply (outputs_name_their_producer g graph_is_well_formed o v Ho Hv).
  Qed.

  (** At the run of an op, its workset and whatever else is resident count together. *)
  Lemma workset_and_others s t o others : every_action_allowed g s -> nth_error s t = Some (Compute o) ->
    NoDup others -> (forall v, In v others -> v < value_count g /\ ~ In v (inputs g o ++ outputs g o)) ->
    workset g o + total (fun v => if state_before g s (S t) v then size g v else 0) others <= bytes_at g s t.
  Proof.
    intros Hs Ht Hd Ho. destruct (Hs t _ Ht) as [Hop _]. unfold bytes_at. rewrite Ht.
    set (now := state_before g s (S t)).
    assert (H : total (fun v => if now v then size g v else 0) ((inputs g o ++ outputs g o) ++ others) <= bytes g now).
    { apply bytes_of_some.
      - apply distinct_app; [now apply touched_distinct|auto|]. intros v Hv Hother. now apply (Ho v Hother).
      - intros v Hv. apply in_app_or in Hv. destruct Hv as [Hv|Hv]; [now apply (touched_exist o)|apply Ho; auto]. }
    rewrite total_app in H. unfold workset.
    rewrite (total_ext (fun v => if now v then size g v else 0) (size g) (inputs g o ++ outputs g o)) in H.
    - lia.
    - intros v Hv. unfold now. now rewrite (touched_resident s t o v Hs Ht Hv).
  Qed.

  (** What counts at any position counts towards the peak. *)
  Lemma bytes_at_le_peak s t : bytes_at g s t <= peak g s.
  Proof.
    destruct (Nat.ltb_spec t (length s)) as [H|H].
    - apply in_le_largest, in_map, in_seq. lia.
    - unfold bytes_at. rewrite (proj2 (nth_error_None s t) H). lia.
  Qed.

  (** Between two actions no more is resident than at the peak. *)
  Lemma bytes_between_le_peak s t : every_action_allowed g s -> (t <= length s)%nat ->
    bytes g (state_before g s t) <= peak g s.
  Proof.
    intros Hs. induction t as [|t IH]; intro Ht.
    - rewrite state_before_start. unfold bytes, nothing_resident. rewrite total_zero. lia.
    - destruct (nth_error s t) as [a|] eqn:Ea; [|apply nth_error_None in Ea; lia].
      destruct a as [o|u].
      + assert (H := bytes_at_le_peak s t). unfold bytes_at in H. rewrite Ea in H. lia.
      + rewrite (state_before_next s t _ Ea). transitivity (bytes g (state_before g s t)); [|apply IH; lia].
        apply total_le. intros v _. simpl. destruct (state_before g s t v); destruct (negb (v =? u)); simpl; lia.
  Qed.
End Residency.
