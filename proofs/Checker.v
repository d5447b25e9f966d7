(** The executable judge, and the proof that it says exactly what is right.

    It plays a schedule action by action, as [hcb_opt/replay.py] does, with sets of logarithmic look-up. *)

From Coq Require Import List Arith NArith Bool Lia.
From HcbOpt Require Import Sums Model Residency Appending Judgement Tables.
Import ListNotations.
Local Open Scope N_scope.

(** * The judge *)

(** What the judge remembers while it plays a schedule. *)
Record machine := Machine {
  resident : number_set;   (** values *)
  held : N;                (** their bytes *)
  top : N;                 (** most bytes so far *)
  spent : N;               (** cost so far *)
  ran : number_set;        (** ops that have run *)
  next_first : N;          (** how many ops have run *)
  in_order : bool          (** whether their first runs came in the graph's order *)
}.

Definition start : machine := Machine no_numbers 0 0 0 no_numbers 0 true.

(** Runs an op whose inputs are resident. *)
Definition run_op (g : graph) (m : machine) (o : N) : machine :=
  let fresh := filter (fun v => negb (has v (resident m))) (outputs g o) in
  let holding := held m + total (size g) fresh in
  let again := has o (ran m) in
  {| resident := put_all fresh (resident m);
     held := holding;
     top := N.max (top m) (holding + workspace g o);
     spent := spent m + cost g o;
     ran := if again then ran m else put o (ran m);
     next_first := if again then next_first m else N.succ (next_first m);
     in_order := in_order m && (again || (o =? next_first m)) |}.

(** Releases a resident value. *)
Definition drop_value (g : graph) (m : machine) (v : N) : machine :=
  {| resident := take v (resident m); held := held m - size g v; top := top m; spent := spent m;
     ran := ran m; next_first := next_first m; in_order := in_order m |}.

(** One action: the machine after it, or why it is not allowed. *)
Definition act (g : graph) (m : machine) (a : action) : machine + reason :=
  match a with
  | Compute o =>
      if o <? op_count g then
        match first_missing (fun v => has v (resident m)) (inputs g o) with
        | None => inl (run_op g m o)
        | Some v => inr (InputNotResident o v)
        end
      else inr (NoSuchOp o)
  | Drop v =>
      if v <? value_count g then
        if has v (resident m) then inl (drop_value g m v) else inr (DroppedNotResident v)
      else inr (NoSuchValue v)
  end.

(** The end: every op computed, every output resident. *)
Definition finish (g : graph) (m : machine) (steps : nat) : verdict :=
  match find (fun o => negb (has o (ran m))) (below (op_count g)) with
  | Some o => Illegal steps (NeverComputed o)
  | None =>
      match first_missing (fun v => has v (resident m)) (required g) with
      | Some v => Illegal steps (OutputNotResident v)
      | None => Legal (top m) (spent m) (in_order m)
      end
  end.

(** Plays the rest of a schedule. *)
Fixpoint play (g : graph) (m : machine) (steps : nat) (rest : schedule) : verdict :=
  match rest with
  | [] => finish g m steps
  | a :: rest =>
      match act g m a with
      | inl m => play g m (S steps) rest
      | inr why => Illegal steps why
      end
  end.

Definition judge (g : graph) (s : schedule) : verdict := play g start 0 s.

(** * Why it is right *)

Section Right.
  Variable g : graph.
  Hypothesis graph_is_well_formed : well_formed g.

  (** The machine tells the truth about the actions played so far. *)
  Record truthful (m : machine) (played : schedule) : Prop := {
    resident_true : forall v, has v (resident m) = state_after g played v;
    held_true : held m = bytes g (state_after g played);
    top_true : top m = peak g played;
    spent_true : spent m = schedule_cost g played;
    ran_true : forall o, has o (ran m) = computed played o;
    in_order_true : in_order m = true <-> fixed_order played;
    next_first_true : in_order m = true -> forall o, computed played o = true <-> o < next_first m
  }.

  Lemma nothing_played : truthful start [].
  Proof.
    constructor; try reflexivity.
    - intro v. apply has_no_numbers.
    - unfold bytes, state_after, nothing_resident. simpl. now rewrite total_zero.
    - intro o. apply has_no_numbers.
    - split; auto. intros _ t o H. destruct t; discriminate.
    - intros _ o. simpl. split; [discriminate|lia].
  Qed.

  (** Bytes after a run: what was held, and the outputs that were not. *)
  Lemma bytes_after_run (before : state) o : o < op_count g ->
    bytes g (after g before (Compute o)) =
    bytes g before + total (size g) (filter (fun v => negb (before v)) (outputs g o)).
  Proof.
    intro Ho. assert (Hd := outputs_distinct g graph_is_well_formed o Ho).
    assert (He := fun v Hv => proj1 (outputs_name_their_producer g graph_is_well_formed o v Ho Hv)).
    unfold bytes.
    rewrite (total_ext _ (fun v => (if before v then size g v else 0) +
                                   (if among v (outputs g o) && negb (before v) then size g v else 0)) (values g)).
    2:{ intros v _. simpl. destruct (among v (outputs g o)), (before v); simpl; lia. }
    rewrite total_sum. f_equal.
    rewrite <- (total_filter (size g) (fun v => among v (outputs g o) && negb (before v))).
    apply N.le_antisymm; apply total_incl; try (apply NoDup_filter; auto; apply distinct_below).
    - intros v Hv. apply filter_In in Hv. destruct Hv as [_ Hv]. apply andb_true_iff in Hv.
      apply filter_In. rewrite <- among_in. tauto.
    - intros v Hv. apply filter_In in Hv. destruct Hv as [Hv Hn]. apply filter_In. split; [apply in_below; auto|].
      apply among_in in Hv. now rewrite Hv, Hn.
  Qed.

  (** Bytes after a drop: what was held, less the value. *)
  Lemma bytes_after_drop (before : state) v : v < value_count g -> before v = true ->
    bytes g (after g before (Drop v)) + size g v = bytes g before.
  Proof.
    intros Hv Hr. unfold bytes. simpl. apply in_below in Hv. change (In v (values g)) in Hv.
    assert (Hd : NoDup (values g)) by apply distinct_below.
    revert Hv Hd. generalize (values g) as vs. induction vs as [|u vs IH]; [intros []|].
    intros Hv Hd. inversion Hd; subst. cbn [total fold_right]. unfold total in IH |- *.
    destruct (N.eqb_spec u v) as [->|Hne].
    - rewrite Hr. simpl.
      assert (Hrest : total (fun u => if negb (u =? v) && before u then size g u else 0) vs =
                      total (fun u => if before u then size g u else 0) vs).
      { apply total_ext. intros u Hu. destruct (N.eqb_spec u v) as [->|]; [tauto|reflexivity]. }
      unfold total in Hrest. rewrite Hrest. lia.
    - destruct Hv as [->|Hv]; [tauto|]. simpl. rewrite <- (IH Hv) by auto. lia.
  Qed.

  Lemma first_missing_same (one two : state) vs : (forall v, one v = two v) ->
    first_missing one vs = first_missing two vs.
  Proof. intro H. unfold first_missing. induction vs as [|v vs IH]; simpl; auto. rewrite H, IH. auto. Qed.

  Lemma find_same (one two : N -> bool) ns : (forall n, one n = two n) -> find one ns = find two ns.
  Proof. intro H. induction ns as [|n ns IH]; simpl; auto. rewrite H, IH. auto. Qed.

  Lemma among_filter v vs (keep : N -> bool) : among v (filter keep vs) = among v vs && keep v.
  Proof.
    unfold among. induction vs as [|u vs IH]; simpl; auto. destruct (keep u) eqn:E; simpl; rewrite IH.
    - destruct (N.eqb_spec v u) as [->|]; simpl; rewrite ?E; auto.
    - destruct (N.eqb_spec v u) as [->|]; simpl; rewrite ?E, ?andb_false_r; auto.
  Qed.

  (** A run keeps the machine truthful. *)
  Lemma run_op_truthful m played o : truthful m played -> o < op_count g ->
    truthful (run_op g m o) (played ++ [Compute o]).
  Proof.
    intros T Ho. destruct T as [Tr Th Tt Ts Tn Ti Tf].
    assert (Hfresh : filter (fun v => negb (has v (resident m))) (outputs g o) =
                     filter (fun v => negb (state_after g played v)) (outputs g o)).
    { apply filter_ext. intro v. now rewrite Tr. }
    assert (Hheld : held m + total (size g) (filter (fun v => negb (has v (resident m))) (outputs g o)) =
                    bytes g (state_after g (played ++ [Compute o]))).
    { rewrite state_after_snoc, bytes_after_run, Hfresh, Th; auto. }
    constructor; unfold run_op; cbn [resident held top spent ran in_order next_first].
    - intro v. rewrite has_put_all, among_filter, Tr, state_after_snoc. simpl.
      destruct (among v (outputs g o)), (state_after g played v); auto.
    - exact Hheld.
    - rewrite peak_snoc, Hheld, Tt. reflexivity.
    - rewrite cost_snoc, Ts. reflexivity.
    - intro p. rewrite computed_snoc. simpl. destruct (has o (ran m)) eqn:E.
      + rewrite Tn. destruct (N.eqb_spec p o) as [->|]; [|now rewrite orb_false_r].
        rewrite Tn in E. now rewrite E.
      + rewrite has_put, Tn. apply orb_comm.
    - rewrite fixed_order_snoc, andb_true_iff, orb_true_iff, N.eqb_eq, Tn. split.
      + intros [Hi Hor]. assert (Hc := Tf Hi). split; [now apply Ti|]. intros q [= <-] p Hp. apply Hc.
        destruct Hor as [Hr|Hr]; [apply Hc in Hr; lia|lia].
      + intros [Hf Ha]. apply Ti in Hf. split; auto. assert (Hc := Tf Hf).
        destruct (N.lt_trichotomy o (next_first m)) as [H|[H|H]]; auto.
        * left. now apply Hc.
        * exfalso. specialize (Ha o eq_refl (next_first m) H). apply Hc in Ha. lia.
    - intros Hio p. apply andb_true_iff in Hio. destruct Hio as [Hi Hor]. assert (Hc := Tf Hi).
      rewrite computed_snoc, orb_true_iff, Hc. cbn [computes]. rewrite N.eqb_eq. apply orb_true_iff in Hor.
      destruct (has o (ran m)) eqn:E.
      + rewrite Tn in E. apply Hc in E. split; [intros [?| ->]; auto|auto].
      + destruct Hor as [Hor|Hor]; [congruence|]. apply N.eqb_eq in Hor. lia.
  Qed.

  (** A drop keeps the machine truthful. *)
  Lemma drop_value_truthful m played v : truthful m played -> v < value_count g -> has v (resident m) = true ->
    truthful (drop_value g m v) (played ++ [Drop v]).
  Proof.
    intros T Hv Hr. destruct T as [Tr Th Tt Ts Tn Ti Tf]. rewrite Tr in Hr.
    assert (Hsame : forall o, computed (played ++ [Drop v]) o = computed played o).
    { intro o. rewrite computed_snoc. apply orb_false_r. }
    constructor; unfold drop_value; cbn [resident held top spent ran in_order next_first].
    - intro u. rewrite has_take, Tr, state_after_snoc. reflexivity.
    - rewrite state_after_snoc, Th, <- (bytes_after_drop (state_after g played) v Hv Hr). lia.
    - rewrite peak_snoc, Tt. lia.
    - rewrite cost_snoc, Ts. simpl. lia.
    - intro o. now rewrite Hsame.
    - rewrite fixed_order_snoc, Ti. split; [intro H; split; [auto|intros o [=]]|tauto].
    - intros Hi o. rewrite Hsame. now apply Tf.
  Qed.

  Lemma first_missing_truthful m played vs : truthful m played ->
    first_missing (fun v => has v (resident m)) vs = first_missing (state_after g played) vs.
  Proof. intro T. apply first_missing_same. apply (resident_true m played T). Qed.

  (** One action: allowed, and the machine stays truthful; or not, and the reason is right. *)
  Lemma act_right m played a : truthful m played ->
    match act g m a with
    | inl m' => allowed g (state_after g played) a /\ truthful m' (played ++ [a])
    | inr why => broken_by g (state_after g played) a why
    end.
  Proof.
    intro T. assert (Tr := resident_true m played T). destruct a as [o|v]; simpl.
    - destruct (N.ltb_spec o (op_count g)) as [Ho|Ho]; [|now constructor].
      destruct (first_missing _ (inputs g o)) eqn:E; rewrite (first_missing_truthful m played _ T) in E.
      + now constructor.
      + rewrite first_missing_none in E. split; [split; auto|]. now apply run_op_truthful.
    - destruct (N.ltb_spec v (value_count g)) as [Hv|Hv]; [|now constructor].
      destruct (has v (resident m)) eqn:E.
      + split; [rewrite Tr in E; auto|]. now apply drop_value_truthful.
      + rewrite Tr in E. now constructor.
  Qed.

  Lemma finish_right m s : truthful m s -> every_action_allowed g s -> judged g s (finish g m (length s)).
  Proof.
    intros T Hs. unfold finish.
    rewrite (find_same _ (fun o => negb (computed s o)) _ (fun o => f_equal negb (ran_true m s T o))).
    fold (first_never_computed g s). destruct (first_never_computed g s) eqn:En; [now constructor|].
    rewrite (first_missing_truthful m s _ T).
    destruct (first_missing (state_after g s) (required g)) eqn:Em; [now constructor|].
    rewrite (top_true m s T), (spent_true m s T). constructor.
    - apply legal_exactly. auto.
    - apply (in_order_true m s T).
  Qed.

  Lemma play_right rest : forall m played, truthful m played -> every_action_allowed g played ->
    judged g (played ++ rest) (play g m (length played) rest).
  Proof.
    induction rest as [|a rest IH]; intros m played T Hs; simpl.
    - rewrite app_nil_r. now apply finish_right.
    - assert (Ha := act_right m played a T). assert (Hn : nth_error (played ++ a :: rest) (length played) = Some a).
      { rewrite nth_error_app2, Nat.sub_diag by lia. reflexivity. }
      assert (Hb : forall u, (u <= length played)%nat ->
                   state_before g (played ++ a :: rest) u = state_before g played u).
      { intros u Hu. unfold state_before. rewrite firstn_app. replace (u - length played)%nat with O by lia.
        simpl. now rewrite app_nil_r. }
      destruct (act g m a) as [m'|why].
      + destruct Ha as [Ha T']. replace (S (length played)) with (length (played ++ [a]))
          by (rewrite app_length; simpl; lia).
        replace (played ++ a :: rest) with ((played ++ [a]) ++ rest) by (rewrite <- app_assoc; reflexivity).
        apply IH; auto. now apply allowed_snoc.
      + apply (judged_action g _ (length played) a why); auto.
        * intros u b Hu Hb'. rewrite Hb by lia. apply (Hs u b). rewrite nth_error_app1 in Hb' by lia. auto.
        * rewrite Hb by lia. rewrite state_before_end. auto.
  Qed.

  (** Soundness and completeness at once: what the judge says is right, and what is right it says. *)
  Theorem judge_is_right s said : judge g s = said <-> judged g s said.
  Proof.
    assert (H : judged g s (judge g s)).
    { apply (play_right s start [] nothing_played). intros t a Ha. destruct t; discriminate. }
    split; [intros <-; auto|]. intro H2. eapply judgement_is_unique; eauto.
  Qed.

  (** A schedule is accepted exactly if it is legal, with the figures of the model. *)
  Corollary judge_accepts s peak_bytes spent flag :
    judge g s = Legal peak_bytes spent flag <->
    legal g s /\ peak_bytes = peak g s /\ spent = schedule_cost g s /\ (flag = true <-> fixed_order s).
  Proof.
    rewrite judge_is_right. split.
    - intro H. inversion H; subst. auto.
    - intros (L & -> & -> & F). now constructor.
  Qed.
End Right.
