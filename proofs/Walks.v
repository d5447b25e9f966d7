(** Ways from one set of resident values to another, put together from runs of consecutive ops.

    For building schedules: what is resident is written down, and the drops that lead there are found here. *)

From Coq Require Import List Arith NArith Bool Lia.
From HcbOpt Require Import Sums Model Residency Appending.
Import ListNotations.
Local Open Scope N_scope.

(** The numbers from [first] up to, not including, [stop]. *)
Definition range (first stop : N) : list N := count_up (N.to_nat (stop - first)) first.

Lemma in_range first stop x : In x (range first stop) <-> first <= x < stop.
Proof. unfold range. rewrite in_count_up. lia. Qed.

Lemma range_first first stop : first < stop -> range first stop = first :: range (N.succ first) stop.
Proof.
  intro H. unfold range. replace (N.to_nat (stop - first)) with (S (N.to_nat (stop - N.succ first))) by lia.
  reflexivity.
Qed.

Lemma range_empty first stop : stop <= first -> range first stop = [].
Proof. intro H. unfold range. now replace (N.to_nat (stop - first)) with O by lia. Qed.

Lemma range_app first middle stop : first <= middle <= stop ->
  range first stop = range first middle ++ range middle stop.
Proof.
  intro H. unfold range.
  replace (N.to_nat (stop - first)) with (N.to_nat (middle - first) + N.to_nat (stop - middle))%nat by lia.
  rewrite count_up_app. do 2 f_equal. lia.
Qed.

(** ** Sets of values *)

Definition either (one two : state) : state := fun v => one v || two v.
Definition within (some all : state) : Prop := forall v, some v = true -> all v = true.

Section Walks.
  Variable g : graph.
  Hypothesis graph_is_well_formed : well_formed g.

  Lemma bytes_within some all : within some all -> bytes g some <= bytes g all.
  Proof.
    intro H. apply total_le. intros v _. cbv beta. specialize (H v).
    destruct (some v), (all v); lia.
  Qed.

  Lemma bytes_either one two : bytes g (either one two) <= bytes g one + bytes g two.
  Proof.
    unfold bytes. rewrite <- total_sum. apply total_le. intros v _. cbv beta. unfold either.
    destruct (one v), (two v); simpl; lia.
  Qed.

  Lemma bytes_nothing : bytes g nothing_resident = 0.
  Proof. unfold bytes, nothing_resident. apply total_zero. Qed.

  (** What an op writes. *)
  Definition written (o : N) : state := fun v => among v (outputs g o).

  Lemma bytes_among some : bytes g (fun v => among v some) <= total (size g) some.
  Proof.
    unfold bytes. rewrite <- (total_filter (size g) (fun v => among v some)).
    apply total_incl; [apply NoDup_filter, distinct_below|].
    intros v Hv. apply filter_In in Hv. now apply among_in.
  Qed.

  (** The cost of running the ops from [first] up to [stop] once. *)
  Definition work (first stop : N) : N := total (cost g) (range first stop).

  Lemma work_add first middle stop : first <= middle <= stop -> work first stop = work first middle + work middle stop.
  Proof. intro H. unfold work. rewrite (range_app first middle stop H). apply total_app. Qed.

  (** ** Walks *)

  Variable limit : N.

  (** What has been played is allowed, in fixed order, within the limit, and has computed the ops before [front]; now
      [here] is resident. *)
  Record played_to (played : schedule) (here : state) (front : N) : Prop := {
    played_allowed : every_action_allowed g played;
    played_in_order : fixed_order played;
    played_within_limit : peak g played <= limit;
    played_front : forall p, p < front -> computed played p = true;
    played_here : forall v, state_after g played v = here v
  }.

  (** From [here] one can go on to [there] at a cost of at most [price]. *)
  Definition walk (here : state) (front price : N) (there : state) (next_front : N) : Prop :=
    forall played, played_to played here front ->
    exists more, played_to (played ++ more) there next_front /\
                 schedule_cost g (played ++ more) <= schedule_cost g played + price.

  Lemma walk_on here front price there next_front price' beyond last_front :
    walk here front price there next_front -> walk there next_front price' beyond last_front ->
    walk here front (price + price') beyond last_front.
  Proof.
    intros H1 H2 played P. destruct (H1 played P) as (more & P1 & C1). destruct (H2 _ P1) as (rest & P2 & C2).
    exists (more ++ rest). rewrite app_assoc. split; [auto|lia].
  Qed.

  Lemma walk_weaken here front price there next_front price' next_front' :
    walk here front price there next_front -> price <= price' -> next_front' <= next_front ->
    walk here front price' there next_front'.
  Proof.
    intros H Hprice Hfront played P. destruct (H played P) as (more & P1 & C1). exists more. split; [|lia].
    destruct P1. constructor; auto. intros p Hp. apply played_front0. lia.
  Qed.

  (** Dropping leaves any part of what is resident. *)
  Lemma walk_drop here front there : within there here -> walk here front 0 there front.
  Proof.
    intros Hin played P.
    assert (H : forall some, exists more, played_to (played ++ more)
                  (fun v => here v && (negb (among v some) || there v)) front /\
                schedule_cost g (played ++ more) <= schedule_cost g played).
    { induction some as [|u some (more & Q & C)].
      - exists []. rewrite app_nil_r. split; [|lia]. destruct P. constructor; auto.
        intro v. rewrite played_here0. simpl. now rewrite andb_true_r.
      - destruct (here u && (negb (among u some) || there u) && negb (there u)) eqn:E.
        + apply andb_true_iff in E. destruct E as [E Hu]. apply negb_true_iff in Hu.
          destruct Q as [Q1 Q2 Q3 Q4 Q5].
          assert (Hnow : state_after g (played ++ more) u = true) by now rewrite Q5.
          assert (Hexists : u < value_count g).
          { rewrite <- state_before_end in Hnow.
            exact (residents_exist g graph_is_well_formed _ u _ Q1 (le_n _) Hnow). }
          exists (more ++ [Drop u]). rewrite app_assoc. split.
          * constructor.
            -- apply allowed_snoc; auto. split; auto.
            -- apply fixed_order_snoc. split; auto. discriminate.
            -- rewrite peak_snoc. lia.
            -- intros p Hp. rewrite computed_snoc, (Q4 p Hp). reflexivity.
            -- intro v. rewrite state_after_snoc. cbn [after among existsb]. rewrite Q5.
               destruct (N.eqb_spec v u) as [->|Hne]; cbn [negb andb orb].
               { rewrite Hu. cbn. now rewrite andb_false_r. }
               reflexivity.
          * rewrite cost_snoc. cbn. lia.
        + exists more. split; [|lia]. destruct Q as [Q1 Q2 Q3 Q4 Q5]. constructor; auto.
          intro v. rewrite Q5. cbn [among existsb]. fold (among v some).
          destruct (N.eqb_spec v u) as [->|Hne]; [|reflexivity].
          cbn [orb negb]. destruct (here u), (among u some), (there u); cbn in *; congruence. }
    destruct (H (values g)) as (more & Q & C). exists more. split; [|lia].
    destruct Q as [Q1 Q2 Q3 Q4 Q5]. constructor; auto. intro v. rewrite Q5.
    destruct (there v) eqn:Et; [rewrite (Hin v Et); now rewrite orb_true_r|].
    rewrite orb_false_r. destruct (here v) eqn:Eh; [|reflexivity]. cbn. apply negb_false_iff, among_in, in_below.
    destruct P as [P1 P2 P3 P4 P5]. apply (residents_exist g graph_is_well_formed played v (length played) P1 (le_n _)).
    rewrite state_before_end. now rewrite P5.
  Qed.

  (** Running one op whose inputs are resident, if there is room for its outputs. *)
  Lemma walk_compute here front o : o < op_count g -> o <= front ->
    (forall v, In v (inputs g o) -> here v = true) ->
    bytes g (either here (written o)) + workspace g o <= limit ->
    walk here front (cost g o) (either here (written o)) (N.max front (N.succ o)).
  Proof.
    intros Ho Hfront Hin Hroom played [P1 P2 P3 P4 P5]. exists [Compute o].
    assert (Hthere : forall v, state_after g (played ++ [Compute o]) v = either here (written o) v).
    { intro v. rewrite state_after_snoc. cbn [after]. rewrite P5. unfold either, written. apply orb_comm. }
    split; [|rewrite cost_snoc; cbn; lia]. constructor; auto.
    - apply allowed_snoc; auto. split; auto. intros v Hv. rewrite P5. auto.
    - apply fixed_order_snoc. split; auto. intros q [= <-] p Hp. apply P4. lia.
    - rewrite peak_snoc. apply N.max_lub; auto. etransitivity; [|exact Hroom]. apply N.add_le_mono_r.
      apply bytes_within. intros v Hv. now rewrite <- Hthere.
    - intros p Hp. rewrite computed_snoc. destruct (N.eq_dec p o) as [->|Hne].
      + rewrite (proj2 (computes_iff o (Compute o)) eq_refl). apply orb_true_r.
      + rewrite P4 by lia. reflexivity.
  Qed.

  (** Running the ops from [first] up to [stop], with [station i] resident before op [i]. *)
  Theorem sweep (station : N -> state) first stop front : first <= stop <= op_count g -> first <= front ->
    (forall i v, first <= i < stop -> In v (inputs g i) -> station i v = true) ->
    (forall i, first <= i < stop -> within (station (N.succ i)) (either (station i) (written i))) ->
    (forall i, first <= i < stop -> bytes g (either (station i) (written i)) + workspace g i <= limit) ->
    walk (station first) front (work first stop) (station stop) (N.max front stop).
  Proof.
    intros Hstop Hfront Hinputs Hnext Hroom. remember (N.to_nat (stop - first)) as count eqn:E.
    revert first front E Hstop Hfront Hinputs Hnext Hroom.
    induction count as [|count IH]; intros first front E Hstop Hfront Hinputs Hnext Hroom.
    - replace stop with first in * by lia. unfold work. rewrite range_empty by lia.
      apply (walk_weaken (station first) front 0 (station first) front); [|simpl; lia|lia].
      apply walk_drop. intros v Hv. exact Hv.
    - unfold work. rewrite range_first by lia. cbn [total fold_right].
      fold (total (cost g) (range (N.succ first) stop)). fold (work (N.succ first) stop).
      eapply walk_on; [apply walk_compute; [lia|lia|intros v Hv; apply Hinputs; [lia|exact Hv]|apply Hroom; lia]|].
      change (work (N.succ first) stop) with (0 + work (N.succ first) stop).
      eapply walk_on; [apply walk_drop; apply (Hnext first); lia|].
      eapply walk_weaken; [apply (IH (N.succ first))|reflexivity|lia]; try lia.
      + intros i v Hi. apply Hinputs. lia.
      + intros i Hi. apply Hnext. lia.
      + intros i Hi. apply Hroom. lia.
  Qed.
End Walks.
