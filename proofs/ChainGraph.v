(** Revolve is exact under the toolkit's own rules.

    The unit chain as a graph of [Model.v], and the way between its schedules and those of the pebble game: a schedule
    that computes a value which is still resident gains nothing by it, so the optimum is the same. *)

From Coq Require Import List Arith NArith Bool Lia.
From HcbOpt Require Import BinomialCheckpointing PebbleGame ChainPlans RevolveExact.
From HcbOpt Require Import Sums Model Residency Appending.
Import ListNotations.
Local Open Scope N_scope.

Section ChainGraph.
  Variable n : nat.

  (** States 0 .. n - 1 come first, then the adjoints from n down to 0; every op writes the value of its number. *)
  Definition number (v : chain_value) : N :=
    match v with State i => N.of_nat i | Adjoint i => N.of_nat (n + n - i) end.

  Definition named (o : N) : chain_value :=
    if o <? N.of_nat n then State (N.to_nat o) else Adjoint (n + n - N.to_nat o).

  (** Forward steps cost 1, backward steps nothing, so that a schedule's cost is its number of forward steps. Every
      value
      is one byte. Adjoint [i] reads adjoint [i + 1] and state [i]; adjoint [n] is the loss's, and reads nothing. *)
  Definition chain_graph : graph := {|
    op_count := N.of_nat (n + n + 1);
    value_count := N.of_nat (n + n + 1);
    inputs := fun o => map number (predecessors (chain n) (named o));
    outputs := fun o => [o];
    cost := fun o => work (chain n) (named o);
    workspace := fun _ => 0;
    Model.size := fun _ => 1;
    producer := fun v => v;
    required := [number (Adjoint 0)];
    persistent_bytes := 0
  |}.

  Notation there := (exists_in (chain n)).

  Lemma number_small v : there v -> number v < N.of_nat (n + n + 1).
  Proof. destruct v as [i|i]; cbn; intro H; lia. Qed.

  Lemma named_number v : there v -> named (number v) = v.
  Proof.
    unfold named. destruct v as [i|i]; cbn; intro H.
    - rewrite (proj2 (N.ltb_lt _ _)) by lia. now rewrite Nat2N.id.
    - rewrite (proj2 (N.ltb_ge _ _)) by lia. rewrite Nat2N.id. f_equal. lia.
  Qed.

  Lemma number_named o : o < N.of_nat (n + n + 1) -> number (named o) = o /\ there (named o).
  Proof.
    intro H. unfold named. destruct (N.ltb_spec o (N.of_nat n)); cbn; split; lia.
  Qed.

  Lemma predecessors_exist v u : there v -> In u (predecessors (chain n) v) -> there u /\ number u < number v.
  Proof.
    destruct v as [[|i]|i]; cbn.
    - intros _ [].
    - intros H [<-|[]]. cbn. lia.
    - intros H. destruct (Nat.eqb_spec i n); [intros []|]. intros [<-|[<-|[]]]; cbn; lia.
  Qed.

  Lemma chain_graph_is_well_formed : well_formed chain_graph.
  Proof.
    assert (Hpred : forall o v, o < N.of_nat (n + n + 1) -> In v (inputs chain_graph o) ->
              v < N.of_nat (n + n + 1) /\ v < o).
    { intros o v Ho Hv. cbn in Hv. apply in_map_iff in Hv. destruct Hv as (u & <- & Hu).
      destruct (number_named o Ho) as [Eo To]. destruct (predecessors_exist _ u To Hu) as [Tu Hlt].
      rewrite Eo in Hlt. split; [now apply number_small|auto]. }
    constructor; cbn [op_count value_count outputs producer required chain_graph]; auto.
    - intros o Ho. destruct (number_named o Ho) as [_ To]. cbn [inputs chain_graph]. revert To.
      destruct (named o) as [[|i]|i]; cbn; intro To; [constructor|repeat constructor; intros []|].
      destruct (Nat.eqb_spec i n); [constructor|]. cbn [map number].
      repeat constructor; intros []; auto. lia.
    - intros o v Ho [<-|[]]. auto.
    - intros. repeat constructor. intros [].
    - intros v Hv. cbn. auto.
    - intros v [<-|[]]. cbn. lia.
    - repeat constructor. intros [].
  Qed.

  Lemma number_injective u v : there u -> there v -> number u = number v -> u = v.
  Proof. intros Hu Hv E. rewrite <- (named_number u Hu), <- (named_number v Hv). now f_equal. Qed.

  (** A list of pebbles and a state of the toolkit's game tell the same. *)
  Definition alike (pebbles : list chain_value) (now : state) : Prop :=
    NoDup pebbles /\ (forall v, In v pebbles -> there v) /\
    forall v, there v -> (In v pebbles <-> now (number v) = true).

  Lemma alike_bytes pebbles now : alike pebbles now -> (forall o, now o = true -> o < N.of_nat (n + n + 1)) ->
    bytes chain_graph now = N.of_nat (length pebbles).
  Proof.
    intros (Hd & Ht & Ha) Hnow. unfold bytes. cbn [Model.size chain_graph].
    rewrite <- (total_filter (fun _ => 1)).
    assert (E : forall l : list N, total (fun _ => 1) l = N.of_nat (length l)).
    { induction l as [|x l IH]; [reflexivity|]. cbn [length]. rewrite Nat2N.inj_succ, <- IH. unfold total.
      cbn [fold_right]. lia. }
    rewrite <- (map_length number pebbles), <- E.
    assert (Hd' : NoDup (map number pebbles)).
    { clear Ha. induction Hd as [|v l Hv Hd IH]; simpl; constructor.
      - intro Hi. apply in_map_iff in Hi. destruct Hi as (u & Eu & Hu).
        apply number_injective in Eu; [subst; auto|apply Ht; right; auto|apply Ht; left; auto].
      - apply IH. intros u Hu. apply Ht. right; auto. }
    apply N.le_antisymm; apply total_incl; auto; try (apply NoDup_filter, distinct_below).
    - intros o Ho. apply filter_In in Ho. destruct Ho as [Ho Hn]. apply in_below in Ho. cbn in Ho.
      destruct (number_named o Ho) as [Eo To]. apply in_map_iff. exists (named o). split; auto.
      apply Ha; auto. now rewrite Eo.
    - intros o Ho. apply in_map_iff in Ho. destruct Ho as (v & <- & Hv). apply filter_In. split.
      + apply in_below. cbn. apply number_small. auto.
      + apply Ha; auto.
  Qed.

  (** ** From the toolkit's game to the pebble game *)

  Lemma run_snoc X ops tr Y o Z : run chain_value_eq (chain n) X ops tr Y -> step chain_value_eq (chain n) Y o Z ->
    run chain_value_eq (chain n) X (ops ++ [o]) (tr ++ [Z]) Z.
  Proof.
    induction 1 as [X|X o1 X1 ops tr Y Hs Hr IH]; intro H; simpl.
    - econstructor; [eauto|constructor].
    - econstructor; [eauto|]. auto.
  Qed.

  Lemma total_work_snoc ops o : PebbleGame.total (chain n) (ops ++ [o]) =
    PebbleGame.total (chain n) ops + move_cost (chain n) o.
  Proof. induction ops as [|a ops IH]; simpl; [lia|]. rewrite IH. lia. Qed.

  Lemma pebbles_follow s : every_action_allowed chain_graph s -> forall t, (t <= length s)%nat ->
    exists ops tr S, run chain_value_eq (chain n) [] ops tr S /\ alike S (state_before chain_graph s t) /\
      (forall X, In X tr -> N.of_nat (length X) <= peak chain_graph s) /\
      PebbleGame.total (chain n) ops <= schedule_cost chain_graph (firstn t s).
  Proof.
    intro Hs. assert (W := chain_graph_is_well_formed).
    assert (Hfits : forall S t, (t <= length s)%nat -> alike S (state_before chain_graph s t) ->
              N.of_nat (length S) <= peak chain_graph s).
    { intros S t Ht Ha. rewrite <- (alike_bytes _ _ Ha).
      - now apply bytes_between_le_peak.
      - intros o Ho. exact (residents_exist chain_graph W s o t Hs Ht Ho). }
    induction t as [|t IH]; intro Ht.
    - exists [], [[]], []. split; [constructor|]. split; [|split; [|simpl; lia]].
      + split; [constructor|split; [intros v []|]]. intros v _. split; [intros []|discriminate].
      + intros X [<-|[]]. simpl. lia.
    - destruct (IH ltac:(lia)) as (ops & tr & S & R & A & B & C). clear IH.
      destruct (nth_error s t) as [a|] eqn:Ea; [|apply nth_error_None in Ea; lia].
      assert (Hcost : schedule_cost chain_graph (firstn (Datatypes.S t) s) =
                      schedule_cost chain_graph (firstn t s) + action_cost chain_graph a).
      { rewrite (firstn_snoc s t a Ea). unfold schedule_cost. rewrite total_app. simpl. lia. }
      assert (Hnext := state_before_next chain_graph s t a Ea).
      assert (Hallowed := Hs t a Ea). assert (A' := A). destruct A' as (Hd & Hex & Hsame).
      destruct a as [o|u]; cbn in Hallowed.
      + destruct Hallowed as [Ho Hin]. destruct (number_named o Ho) as [Eo To].
        destruct (in_dec chain_value_eq (named o) S) as [Hi|Hi].
        * exists ops, tr, S. split; [auto|split; [|split; [auto|lia]]].
          split; [auto|split; [auto|]]. intros v Tv. rewrite Hnext. cbn. rewrite orb_true_iff, orb_false_r, N.eqb_eq.
          rewrite (Hsame v Tv). split; [auto|]. intros [Ev|?]; auto. apply Hsame; auto.
          rewrite <- (named_number v Tv), Ev. auto.
        * assert (Hstep : step chain_value_eq (chain n) S (PebbleGame.Compute (named o)) (named o :: S)).
          { apply step_compute; auto. intros p Hp. destruct (predecessors_exist _ p To Hp) as [Tp _].
            apply Hsame; auto. apply Hin. now apply in_map. }
          assert (A2 : alike (named o :: S) (state_before chain_graph s (Datatypes.S t))).
          { split; [constructor; auto|split; [intros v [<-|Hv]; auto|]]. intros v Tv. rewrite Hnext. cbn.
            rewrite orb_true_iff, orb_false_r, N.eqb_eq, <- (Hsame v Tv). split.
            - intros [<-|?]; auto.
            - intros [Ev|?]; auto. left. rewrite <- (named_number v Tv), Ev. auto. }
          exists (ops ++ [PebbleGame.Compute (named o)]), (tr ++ [named o :: S]), (named o :: S).
          split; [eapply run_snoc; eauto|split; [auto|split]].
          { intros X HX. apply in_app_or in HX. destruct HX as [HX|[<-|[]]]; [auto|]. eapply Hfits; eauto. }
          { rewrite total_work_snoc, Hcost. cbn. lia. }
      + destruct Hallowed as [Hu Hres]. destruct (number_named u Hu) as [Eu Tu].
        assert (Hi : In (named u) S) by (apply Hsame; auto; now rewrite Eu).
        assert (A2 : alike (remove chain_value_eq (named u) S) (state_before chain_graph s (Datatypes.S t))).
        { split; [now apply remove_NoDup|split; [intros v Hv; apply in_remove in Hv; apply Hex; tauto|]].
          intros v Tv. rewrite Hnext. cbn. rewrite andb_true_iff, negb_true_iff, N.eqb_neq, <- (Hsame v Tv). split.
          - intro Hv. apply in_remove in Hv. destruct Hv as [Hv Hne]. split; auto.
            intro E. apply Hne. rewrite <- (named_number v Tv), E. auto.
          - intros [Hne Hv]. apply in_in_remove; auto. intros ->. auto. }
        exists (ops ++ [Free (named u)]), (tr ++ [remove chain_value_eq (named u) S]),
               (remove chain_value_eq (named u) S).
        split; [eapply run_snoc; eauto; now apply step_free|split; [auto|split]].
        * intros X HX. apply in_app_or in HX. destruct HX as [HX|[<-|[]]]; [auto|]. eapply Hfits; eauto.
        * rewrite total_work_snoc, Hcost. cbn. lia.
  Qed.

  (** A legal schedule gives one of the pebble game, with no larger peak and no more forward steps. *)
  Lemma pebbles_of_schedule s : legal chain_graph s ->
    exists ops, valid chain_value_eq (chain n) [Adjoint 0] (peak chain_graph s) (schedule_cost chain_graph s) ops.
  Proof.
    intros [L1 _ L3]. destruct (pebbles_follow s L1 (length s) (le_n _)) as (ops & tr & S & R & A & B & C).
    exists ops, tr, S. split; [auto|split; [|split]].
    - intros X HX. rewrite bytes_are_pebbles. auto.
    - intros v [<-|[]]. apply A; [cbn; lia|]. rewrite state_before_end. apply L3. left; auto.
    - now rewrite firstn_all in C.
  Qed.

  (** ** From the pebble game to the toolkit's *)

  Definition action_of (o : PebbleGame.move chain_value) : action :=
    match o with PebbleGame.Compute v => Compute (number v) | Free v => Drop (number v) end.

  Lemma run_begins X ops tr Y : run chain_value_eq (chain n) X ops tr Y -> In X tr.
  Proof. destruct 1; simpl; auto. Qed.

  Lemma step_is_allowed X o X1 now : step chain_value_eq (chain n) X o X1 -> alike X now ->
    allowed chain_graph now (action_of o) /\ alike X1 (after chain_graph now (action_of o)).
  Proof.
    intros Hs (Hd & Hex & Hsame). destruct Hs as [v X Hv Hn Hp|v X Hv]; cbn [action_of allowed].
    - split; [split; [now apply number_small|]|].
      + cbn. rewrite (named_number v Hv). intros u Hu. apply in_map_iff in Hu. destruct Hu as (w & <- & Hw).
        apply Hsame; auto.
      + split; [constructor; auto|split; [intros u [<-|Hu]; auto|]]. intros u Tu. cbn.
        rewrite orb_true_iff, orb_false_r, N.eqb_eq, <- (Hsame u Tu). split.
        * intros [<-|?]; auto.
        * intros [E|?]; auto. left. symmetry. now apply number_injective.
    - assert (Tv := Hex v Hv). split; [split; [now apply number_small|now apply Hsame]|].
      split; [now apply remove_NoDup|split; [intros u Hu; apply in_remove in Hu; apply Hex; tauto|]].
      intros u Tu. cbn. rewrite andb_true_iff, negb_true_iff, N.eqb_neq, <- (Hsame u Tu). split.
      + intro Hu. apply in_remove in Hu. destruct Hu as [Hu Hne]. split; auto. intro E. apply Hne.
        now apply number_injective.
      + intros [Hne Hu]. apply in_in_remove; auto. intros ->. auto.
  Qed.

  Lemma schedule_follows X ops tr Y : run chain_value_eq (chain n) X ops tr Y ->
    forall played B, every_action_allowed chain_graph played -> alike X (state_after chain_graph played) ->
    peak chain_graph played <= B -> (forall Z, In Z tr -> N.of_nat (length Z) <= B) ->
    let s := played ++ map action_of ops in
    every_action_allowed chain_graph s /\ alike Y (state_after chain_graph s) /\ peak chain_graph s <= B /\
    schedule_cost chain_graph s = schedule_cost chain_graph played + PebbleGame.total (chain n) ops.
  Proof.
    induction 1 as [X|X o X1 ops tr Y Hs Hr IH]; intros played B Hp Ha Hpeak Hfit; cbv zeta.
    - cbn [map]. rewrite app_nil_r. do 3 (split; [auto|]). cbn [PebbleGame.total fold_right]. now rewrite N.add_0_r.
    - destruct (step_is_allowed X o X1 _ Hs Ha) as [Hok Ha1].
      assert (Hp1 := allowed_snoc chain_graph played (action_of o) Hp Hok).
      rewrite <- (state_after_snoc chain_graph) in Ha1.
      assert (Hbytes : bytes chain_graph (state_after chain_graph (played ++ [action_of o])) <= B).
      { rewrite (alike_bytes _ _ Ha1).
        - apply Hfit. right. eapply run_begins; eauto.
        - intros v Hv. rewrite <- state_before_end in Hv.
          exact (residents_exist chain_graph chain_graph_is_well_formed _ v _ Hp1 (le_n _) Hv). }
      destruct (IH (played ++ [action_of o]) B Hp1 Ha1) as (I1 & I2 & I3 & I4).
      + rewrite peak_snoc. destruct o; cbn [action_of workspace chain_graph] in *; lia.
      + intros Z HZ. apply Hfit. right; auto.
      + cbn [map]. rewrite <- app_assoc in I1, I2, I3, I4. cbn [app] in I1, I2, I3, I4.
        split; [auto|split; [auto|split; [auto|]]]. rewrite I4, cost_snoc.
        change (PebbleGame.total (chain n) (o :: ops)) with
          (move_cost (chain n) o + PebbleGame.total (chain n) ops).
        assert (Ec : action_cost chain_graph (action_of o) = move_cost (chain n) o); [|lia].
        destruct Hs as [v S Hv _ _|v S _]; [|reflexivity]. cbn [action_cost action_of move_cost cost chain_graph].
        now rewrite (named_number v Hv).
  Qed.

  (** Where adjoint 0 is computed, every op is. *)
  Lemma everything_is_computed s : every_action_allowed chain_graph s -> computed s (number (Adjoint 0)) = true ->
    forall v, there v -> computed s (number v) = true.
  Proof.
    intros Hs H0. assert (Hread : forall v u, there v -> In u (predecessors (chain n) v) ->
      computed s (number v) = true -> computed s (number u) = true).
    { intros v u Tv Hu Hv.
      apply (inputs_were_computed chain_graph chain_graph_is_well_formed s (number v) (number u) Hs Hv).
      cbn. rewrite (named_number v Tv). now apply in_map. }
    assert (Hadjoint : forall i, (i <= n)%nat -> computed s (number (Adjoint i)) = true).
    { induction i as [|i IH]; intro Hi; auto. apply (Hread (Adjoint i)); [cbn; lia| |apply IH; lia].
      cbn. destruct (Nat.eqb_spec i n); [lia|left; auto]. }
    intros [i|i] Hi; [|now apply Hadjoint]. cbn in Hi.
    apply (Hread (Adjoint i)); [cbn; lia| |apply Hadjoint; lia].
    cbn. destruct (Nat.eqb_spec i n); [lia|right; left; auto].
  Qed.

  (** A schedule of the pebble game gives a legal one, with no larger peak and the same number of forward steps. *)
  Lemma schedule_of_pebbles B K ops : valid chain_value_eq (chain n) [Adjoint 0] B K ops ->
    exists s, legal chain_graph s /\ peak chain_graph s <= B /\ schedule_cost chain_graph s <= K.
  Proof.
    intros (tr & Y & R & Hm & Ho & HK).
    destruct (schedule_follows [] ops tr Y R [] B) as (I1 & I2 & I3 & I4).
    - intros t a Ha. destruct t; discriminate.
    - split; [constructor|split; [intros v []|]]. intros v _. split; [intros []|discriminate].
    - cbn. lia.
    - intros Z HZ. rewrite <- bytes_are_pebbles with (n := n). auto.
    - cbn [app] in *. exists (map action_of ops).
      assert (Hend : state_after chain_graph (map action_of ops) (number (Adjoint 0)) = true).
      { apply I2; [cbn; lia|]. apply Ho. left; auto. }
      split; [|split; [auto|rewrite I4; cbn; lia]]. constructor; auto.
      + intros o Hlt. destruct (number_named o Hlt) as [Eo To]. rewrite <- Eo.
        apply everything_is_computed; auto. rewrite <- state_before_end in Hend.
        assert (Hc := resident_was_computed chain_graph chain_graph_is_well_formed _ _ _ I1 (le_n _) Hend).
        now rewrite firstn_all in Hc.
      + intros v [<-|[]]. auto.
  Qed.
End ChainGraph.

(** Revolve is exact. The chain of [n] steps has a legal schedule of peak at most [p + 2] values whose forward steps are
    [r (n + 1) - C(p + r, p + 1)], and no legal schedule within that peak takes fewer, in whatever order; [r] is
    given by C(p + r - 1, p) <= n + 1 <= C(p + r, p). *)
Theorem revolve_is_exact n p r : (1 <= p)%nat -> (1 <= r)%nat ->
  (longest_chain p (r - 1) <= n + 1 <= longest_chain p r)%nat ->
  let fewest := N.of_nat (r * (n + 1) - binomial (p + r) (S p)) in
  (exists s, legal (chain_graph n) s /\ peak (chain_graph n) s <= N.of_nat (p + 2) /\
             schedule_cost (chain_graph n) s = fewest) /\
  (forall s, legal (chain_graph n) s -> peak (chain_graph n) s <= N.of_nat (p + 2) ->
             fewest <= schedule_cost (chain_graph n) s).
Proof.
  intros Hp Hr Hl fewest. destruct (revolve_exact n p r Hp Hr Hl) as ((ops & V) & Hleast).
  assert (Hlower : forall s, legal (chain_graph n) s -> peak (chain_graph n) s <= N.of_nat (p + 2) ->
             fewest <= schedule_cost (chain_graph n) s).
  { intros s L P. destruct (pebbles_of_schedule n s L) as (moves & tr & Y & R & Hm & Ho & HK).
    apply (Hleast _ moves). exists tr, Y. split; [auto|split; [|split; auto]].
    intros S HS. specialize (Hm S HS). lia. }
  split; auto. destruct (schedule_of_pebbles n _ _ ops V) as (s & L & P & C).
  exists s. split; [auto|split; [auto|]]. specialize (Hlower s L P). unfold fewest in *. lia.
Qed.
