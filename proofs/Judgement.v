(** What a judge should say of a schedule: its figures, or the first fault and its reason.

    [judged g s verdict] says that [verdict] is the right thing to say; exactly one verdict is right
    ([judgement_is_unique]). The executable judge of [Checker.v] is proved to say it. *)

From Coq Require Import List Arith NArith Bool Lia.
From HcbOpt Require Import Sums Model Residency.
Import ListNotations.
Local Open Scope N_scope.

(** Which rule is broken: the reasons that [hcb_opt.replay.IllegalSchedule] gives. *)
Inductive reason :=
| NoSuchOp (op : N)                       (** "there is no op ..." *)
| InputNotResident (op value : N)         (** "op ... reads value ..., which is not resident" *)
| NoSuchValue (value : N)                 (** "there is no value ..." *)
| DroppedNotResident (value : N)          (** "value ... is dropped but not resident" *)
| NeverComputed (op : N)                  (** "op ... is never computed" *)
| OutputNotResident (value : N).          (** "output ... is not resident at the end" *)

(** A verdict: peak bytes, cost and whether the order is the fixed one; or the step at fault and why. *)
Inductive verdict :=
| Legal (peak_bytes spent : N) (in_fixed_order : bool)
| Illegal (step : nat) (why : reason).

(** The first of some values that is not resident, if any. *)
Definition first_missing (now : state) (wanted : list N) : option N := find (fun v => negb (now v)) wanted.

(** Why one action is not allowed in a state. *)
Inductive broken_by (g : graph) (now : state) : action -> reason -> Prop :=
| no_such_op o : op_count g <= o -> broken_by g now (Compute o) (NoSuchOp o)
| input_missing o v : o < op_count g -> first_missing now (inputs g o) = Some v ->
    broken_by g now (Compute o) (InputNotResident o v)
| no_such_value v : value_count g <= v -> broken_by g now (Drop v) (NoSuchValue v)
| drop_missing v : v < value_count g -> now v = false -> broken_by g now (Drop v) (DroppedNotResident v).

(** The first op that a schedule never computes, if any. *)
Definition first_never_computed (g : graph) (s : schedule) : option N :=
  find (fun o => negb (computed s o)) (below (op_count g)).

(** All actions before position [t] are allowed. *)
Definition allowed_until (g : graph) (s : schedule) (t : nat) : Prop :=
  forall u a, (u < t)%nat -> nth_error s u = Some a -> allowed g (state_before g s u) a.

(** The right verdict. *)
Inductive judged (g : graph) (s : schedule) : verdict -> Prop :=
| judged_legal flag : legal g s -> (flag = true <-> fixed_order s) ->
    judged g s (Legal (peak g s) (schedule_cost g s) flag)
| judged_action t a why : allowed_until g s t -> nth_error s t = Some a ->
    broken_by g (state_before g s t) a why -> judged g s (Illegal t why)
| judged_never_computed o : every_action_allowed g s -> first_never_computed g s = Some o ->
    judged g s (Illegal (length s) (NeverComputed o))
| judged_output v : every_action_allowed g s -> first_never_computed g s = None ->
    first_missing (state_after g s) (required g) = Some v ->
    judged g s (Illegal (length s) (OutputNotResident v)).

Lemma first_missing_none now wanted : first_missing now wanted = None <-> (forall v, In v wanted -> now v = true).
Proof.
  unfold first_missing. split.
  - intros H v Hv. apply (find_none _ _ H) in Hv. now apply negb_false_iff.
  - intro H. destruct (find _ wanted) eqn:E; auto. apply find_some in E. destruct E as [Hi Hn].
    rewrite (H _ Hi) in Hn. discriminate.
Qed.

Lemma first_never_computed_none g s :
  first_never_computed g s = None <-> (forall o, o < op_count g -> computed s o = true).
Proof.
  unfold first_never_computed. split.
  - intros H o Ho. apply in_below in Ho. apply (find_none _ _ H) in Ho. now apply negb_false_iff.
  - intro H. destruct (find _ _) eqn:E; auto. apply find_some in E. destruct E as [Hi Hn].
    apply in_below in Hi. rewrite (H _ Hi) in Hn. discriminate.
Qed.

(** An action is either allowed or breaks a rule, never both. *)
Lemma broken_not_allowed g now a why : broken_by g now a why -> ~ allowed g now a.
Proof.
  destruct 1 as [o H|o v H E|v H|v H E]; simpl; intros [H1 H2]; try lia; try congruence.
  rewrite (proj2 (first_missing_none now (inputs g o)) H2) in E. discriminate.
Qed.

Lemma broken_once g now a why1 why2 : broken_by g now a why1 -> broken_by g now a why2 -> why1 = why2.
Proof. intros H1 H2. inversion H1; subst; inversion H2; subst; try lia; congruence. Qed.

Lemma legal_exactly g s : legal g s <->
  every_action_allowed g s /\ first_never_computed g s = None /\ first_missing (state_after g s) (required g) = None.
Proof.
  rewrite first_never_computed_none, first_missing_none. split.
  - intros [A B C]. auto.
  - intros (A & B & C). now constructor.
Qed.

(** Only one verdict is right. *)
Theorem judgement_is_unique g s one two : judged g s one -> judged g s two -> one = two.
Proof.
  assert (Hlegal : forall t a why, every_action_allowed g s -> nth_error s t = Some a ->
    broken_by g (state_before g s t) a why -> False).
  { intros t a why Hs Ha Hb. exact (broken_not_allowed _ _ _ _ Hb (Hs t a Ha)). }
  intros H1 H2. destruct H1 as [f1 L1 F1|t1 a1 w1 U1 A1 B1|o1 A1 N1|v1 A1 N1 M1];
    destruct H2 as [f2 L2 F2|t2 a2 w2 U2 A2 B2|o2 A2 N2|v2 A2 N2 M2];
    try (apply legal_exactly in L1; destruct L1 as (LA & LB & LC));
    try (apply legal_exactly in L2; destruct L2 as (LA' & LB' & LC'));
    try congruence; try (exfalso; eauto; fail).
  - f_equal. destruct f1, f2; auto; destruct F1, F2; intuition congruence.
  - destruct (lt_eq_lt_dec t1 t2) as [[H| ->]|H].
    + exfalso. exact (broken_not_allowed _ _ _ _ B1 (U2 t1 a1 H A1)).
    + assert (a1 = a2) by congruence. subst. f_equal. eapply broken_once; eauto.
    + exfalso. exact (broken_not_allowed _ _ _ _ B2 (U1 t2 a2 H A2)).
Qed.
