(** Revolve takes the fewest forward steps of all schedules of the unit chain, in the pebble game. *)

From Coq Require Import List NArith Arith Lia Permutation Bool.
From HcbOpt Require Import PebbleGame BinomialCheckpointing ChainPlans ChainLowerBound.
Import ListNotations.
Local Arguments longest_chain : simpl never.
Local Arguments Nat.mul : simpl never.

Section Exact.
  Variable n : nat.
  Notation run := (run chain_value_eq (chain n)).
  Notation stepc := (step chain_value_eq (chain n)).
  Definition no_action : move chain_value := Free (Adjoint 0).

  Lemma run_nth X ops tr Y : run X ops tr Y ->
    length tr = S (length ops) /\ nth 0 tr [] = X /\ nth (length ops) tr [] = Y /\
    forall t, t < length ops -> stepc (nth t tr []) (nth t ops no_action) (nth (S t) tr []).
  Proof.
    induction 1 as [X|X o X1 ops tr Y Hs Hr (IL & I0 & IE & IS)]; simpl.
    - repeat split; auto. intros; lia.
    - repeat split; auto; try lia. intros [|t] Ht.
      + rewrite I0. auto.
      + apply IS. lia.
  Qed.

  Definition computes_adjoint (i : nat) (x : move chain_value) : bool := match x with Compute (Adjoint k) => k =? i |
    _ => false end.
  Definition first_reversal (ops : list (move chain_value)) (i : nat) : nat :=
    match find (fun t => computes_adjoint i (nth t ops no_action)) (seq 0 (length ops)) with Some t => t | None => 0
      end.

  Lemma find_first (f : nat -> bool) N t : t < N -> f t = true ->
    exists s, find f (seq 0 N) = Some s /\ s <= t /\ f s = true.
  Proof.
    enough (H : forall N a t, a <= t < a + N -> f t = true -> exists s, find f (seq a N) = Some s /\ s <= t /\
      f s = true).
    { intros. apply H with (a := 0); auto; lia. }
    clear. induction N as [|N IH]; intros a t Ht Hf; [lia|]. simpl. destruct (f a) eqn:E.
    - exists a. repeat split; auto; lia.
    - destruct (Nat.eq_dec a t); [subst; congruence|]. apply IH; auto; lia.
  Qed.

  Lemma runs_are_counted ops k :
    (N.of_nat (sum (fun q => length (filter (computes_state q) ops)) k) <= total (chain n) ops)%N.
  Proof.
    induction ops as [|a ops IH].
    - simpl. induction k; simpl in *; lia.
    - assert (Hs : sum (fun q => length (filter (computes_state q) (a :: ops))) k <=
                   sum (fun q => length (filter (computes_state q) ops)) k +
                   match a with Compute (State i) => if i <? k then 1 else 0 | _ => 0 end).
      { clear. assert (Hf : forall q, length (filter (computes_state q) (a :: ops)) =
          (if computes_state q a then 1 else 0) + length (filter (computes_state q) ops)).
        { intro q. simpl. destruct (computes_state q a); reflexivity. }
        induction k as [|k IHk]; [simpl; lia|]. cbn [sum]. rewrite Hf.
        destruct a as [[i|i]|v]; cbn [computes_state] in *; try lia.
        destruct (Nat.eqb_spec i k); destruct (Nat.ltb_spec i k); destruct (Nat.ltb_spec i (S k)); lia. }
      change (total (chain n) (a :: ops)) with (move_cost (chain n) a + total (chain n) ops)%N.
      destruct a as [[i|i]|v]; cbn [move_cost work chain] in *; try lia. destruct (i <? k); lia.
  Qed.

  Lemma filter_nth (f : move chain_value -> bool) ops :
    length (filter (fun t => f (nth t ops no_action)) (seq 0 (length ops))) = length (filter f ops).
  Proof.
    rewrite <- (map_length (fun t => nth t ops no_action)). 
    replace (map (fun t => nth t ops no_action) (filter (fun t => f (nth t ops no_action)) (seq 0 (length ops))))
      with (filter f ops); auto.
    transitivity (filter f (map (fun t => nth t ops no_action) (seq 0 (length ops)))).
    - f_equal. clear. induction ops as [|a ops IH]; [reflexivity|]. simpl. f_equal.
      rewrite <- seq_shift, map_map. exact IH.
    - induction (seq 0 (length ops)) as [|a l IHl]; simpl; auto.
      destruct (f (nth a ops no_action)); simpl; f_equal; auto.
  Qed.

  (** Every schedule of [p + 2] values takes at least [r (n + 1) - discount p r] forward steps, for every [r]. *)
  Theorem revolve_operational_lower p K ops :
    valid chain_value_eq (chain n) [Adjoint 0] (N.of_nat (p + 2)) K ops ->
    forall r, (N.of_nat (r * (n + 1)) <= K + N.of_nat (discount p r))%N.
  Proof.
    intros (tr & Y & Hr & Hm & Ho & HK) r.
    destruct (run_nth _ _ _ _ Hr) as (HL & H0 & HE & HS).
    assert (HND : forall t, t <= length ops -> NoDup (nth t tr [])).
    { intros t Ht. eapply run_trace_NoDup; eauto; [constructor|]. apply nth_In. lia. }
    assert (HB : forall t, t <= length ops -> length (nth t tr []) <= p + 2).
    { intros t Ht. assert (In (nth t tr []) tr) as Hi by (apply nth_In; lia).
      specialize (Hm _ Hi). rewrite bytes_are_pebbles in Hm. lia. }
    assert (HG : forall i t, t <= length ops -> In (Adjoint i) (nth t tr []) ->
                 exists s, s < t /\ computes_adjoint i (nth s ops no_action) = true).
    { intros i. induction t as [|t IH]; intros Ht Hi; [rewrite H0 in Hi; destruct Hi|].
      destruct (in_dec chain_value_eq (Adjoint i) (nth t tr [])) as [Hd|Hd].
      - destruct (IH ltac:(lia) Hd) as (s & ? & ?). exists s; split; auto; lia.
      - exists t. split; auto. assert (Hs := HS t ltac:(lia)).
        apply step_inv in Hs. destruct Hs as [(v & E2 & E3 & Hn & Hp)|(v & E2 & E3)]; rewrite E3 in Hi.
        + destruct Hi as [->|Hi]; [|tauto]. rewrite E2. simpl. apply Nat.eqb_refl.
        + apply in_remove in Hi. tauto. }
    set (T := first_reversal ops).
    assert (HTs : forall i t, t < length ops -> computes_adjoint i (nth t ops no_action) = true ->
                  T i <= t /\ computes_adjoint i (nth (T i) ops no_action) = true).
    { intros i t Ht Hi. destruct (find_first (fun t => computes_adjoint i (nth t ops no_action)) _ t Ht Hi) as (s &
        Hf & Hs & Hg).
      unfold T, first_reversal. rewrite Hf. auto. }
    (* every adjoint is computed; facts at its first computation *)
    assert (Hrev : forall i, i <= n -> T i < length ops /\ computes_adjoint i (nth (T i) ops no_action) = true).
    { induction i as [|i IH]; intro Hi.
      - assert (Hin : In (Adjoint 0) (nth (length ops) tr [])) by (rewrite HE; apply Ho; left; auto).
        destruct (HG 0 _ (le_n _) Hin) as (s & Hs & Hg). destruct (HTs 0 s Hs Hg). split; auto; lia.
      - destruct (IH ltac:(lia)) as (Ht & Hg). assert (Hs := HS _ Ht).
        destruct (nth (T i) ops no_action) as [[k|k]|v] eqn:Eo; try discriminate. simpl in Hg.
        apply Nat.eqb_eq in Hg. subst k.
        apply step_inv in Hs. destruct Hs as [(v & E2 & E3 & Hn & Hp)|(v & E2 & E3)]; [|congruence].
        injection E2 as <-.
        assert (HIn : In (Adjoint (S i)) (nth (T i) tr [])).
        { apply Hp. simpl. destruct (Nat.eqb_spec i n); [lia|left; auto]. }
        destruct (HG (S i) (T i) ltac:(lia) HIn) as (s & Hs' & Hg').
        destruct (HTs (S i) s ltac:(lia) Hg'). split; auto; lia. }
    assert (Hat : forall i, i < n -> In (State i) (nth (T i) tr []) /\ In (Adjoint (S i)) (nth (T i) tr []) /\
                  states_held (fun t => nth t tr []) 0 (T i) <= p /\ T (S i) < T i).
    { intros i Hi. destruct (Hrev i ltac:(lia)) as (Ht & Hg). assert (Hs := HS _ Ht).
      destruct (nth (T i) ops no_action) as [[k|k]|v] eqn:Eo; try discriminate. simpl in Hg. apply Nat.eqb_eq in Hg.
      subst k.
      apply step_inv in Hs. destruct Hs as [(v & E2 & E3 & Hn & Hp)|(v & E2 & E3)]; [|congruence].
      injection E2 as <-.
      assert (Hpr : predecessors (chain n) (Adjoint i) = [Adjoint (S i); State i]).
      { simpl. destruct (Nat.eqb_spec i n); [lia|auto]. }
      rewrite Hpr in Hp. assert (HF : In (State i) (nth (T i) tr [])) by (apply Hp; simpl; auto).
      assert (HGs : In (Adjoint (S i)) (nth (T i) tr [])) by (apply Hp; simpl; auto).
      repeat split; auto.
      - assert (Hb := HB (S (T i)) ltac:(lia)). rewrite E3 in Hb. simpl length in Hb.
        unfold states_held. assert (length (filter (is_state_from 0) (nth (T i) tr [])) < length (filter (fun _ =>
          true) (nth (T i) tr []))).
        { apply (filter_strict _ _ _ (Adjoint (S i))); auto. }
        assert (Hft : forall L : list chain_value, length (filter (fun _ => true) L) = length L).
        { induction L; simpl; auto. }
        rewrite Hft in *. lia.
      - destruct (HG (S i) (T i) ltac:(lia) HGs) as (s & Hs' & Hg').
        destruct (HTs (S i) s ltac:(lia) Hg'). lia. }
    assert (Hdec : forall i i', i < i' < n -> T i' < T i).
    { intros i i' Hi. replace i' with (i + S (i' - i - 1)) by lia.
      assert (Hb : i + S (i' - i - 1) < n) by lia. revert Hb. generalize (i' - i - 1) as d.
      induction d as [|d IH]; intro Hb.
      - replace (i + 1) with (S i) by lia. apply Hat. lia.
      - specialize (IH ltac:(lia)). destruct (Hat (i + S d) ltac:(lia)) as (_ & _ & _ & Hd).
        replace (i + S (S d)) with (S (i + S d)) by lia. lia. }
    assert (Hadv := advances n (length ops) p (fun t => nth t tr []) (fun t => nth t ops no_action) T HS
              ltac:(intros i Hi; split; [apply Hrev; lia|apply Hat; auto]) Hdec H0
              ltac:(intros i Hi; apply Hat; auto) r).
    assert (Hle : forall k, k <= n -> sum (e (fun t => nth t ops no_action) T) k <= sum (fun q => length (filter
      (computes_state q) ops)) k).
    { induction k as [|k IHk]; intro Hk; simpl; auto.
      assert (e (fun t => nth t ops no_action) T k <= length (filter (computes_state k) ops));
        [|specialize (IHk ltac:(lia)); lia].
      unfold e, runs. rewrite <- filter_nth. destruct (Hrev k ltac:(lia)) as (Ht & _).
      rewrite Nat.sub_0_r. replace (length ops) with (T k + (length ops - T k)) by lia.
      rewrite seq_app, filter_app, app_length. lia. }
    specialize (Hle n (le_n _)). assert (Hsum := runs_are_counted ops n). lia.
  Qed.

  (** * The schedule that attains it: the chain's source plays the part of the first snapshot *)

  Lemma advance0 B k j : 0 < k <= n -> 3 <= B -> reachable n B [Adjoint j] k (State (k - 1) :: [Adjoint j]).
  Proof.
    intros Hk HB. induction k as [|k IH]; [lia|]. destruct (Nat.eq_dec k 0) as [->|].
    - apply reach_by_compute; simpl; auto; try lia; [intros [E|[]]; discriminate|intros x []].
    - replace (S k - 1) with k by lia. replace (S k) with (k + (1 + 0)) by lia.
      assert (D1 : NoDup (State (k - 1) :: [Adjoint j])) by (repeat constructor; simpl; intuition discriminate).
      assert (D2 : NoDup (State k :: State (k - 1) :: [Adjoint j])).
      { repeat constructor; simpl; try (intuition discriminate). intros [E|[E|[]]]; [injection E; lia|discriminate]. }
      eapply reach_in_two; [exact D1|apply IH; lia|].
      assert (Ek : predecessors (chain n) (State k) = [State (k - 1)]).
      { destruct k; [lia|]. simpl. rewrite Nat.sub_0_r. reflexivity. }
      eapply reach_in_two; [exact D2| |].
      + apply reach_by_compute; [simpl; lia|inversion D2; auto| |simpl; lia|reflexivity].
        rewrite Ek. intros x [<-|[]]; left; auto.
      + apply reach_by_free with (v := State (k - 1)); [apply perm_swap|exact D2|simpl; lia].
  Qed.

  Lemma plan_virtual l s c : plan l s c -> l <= S n -> 1 <= s -> reachable n (s + 2) [Adjoint (l - 1)] c [Adjoint 0].
  Proof.
    intro P. induction P as [s|l s k c1 c2 Hk P1 IH1 P2 _]; intros Hl Hs.
    - apply reach_itself. simpl. lia.
    - replace (k + c1 + c2) with (k + (c2 + (0 + c1))) by lia.
      assert (Hnd : forall a b, NoDup (Adjoint a :: State b :: [])) by (repeat constructor; simpl;
        intuition discriminate).
      eapply reach_in_two with (Y := [Adjoint (l - 1); State (k - 1)]); [apply Hnd| |].
      { eapply reach_reordered; [apply advance0; lia|apply perm_swap]. }
      eapply reach_in_two with (Y := [Adjoint (k - 1); State (k - 1)]); [apply Hnd| |].
      { replace (l - 1) with (k - 1 + (l - k)) by lia.
        apply (plan_sound n (l - k) s c2 P2 (k - 1) [] (S s + 2)); simpl; auto; lia. }
      eapply reach_in_two with (Y := [Adjoint (k - 1)]); [repeat constructor; auto| |apply IH1; lia].
      apply reach_by_free with (v := State (k - 1)); [apply perm_swap|apply Hnd|simpl; lia].
  Qed.

  Theorem revolve_operational_upper p c : 1 <= p -> plan (S n) p c ->
    exists ops, valid chain_value_eq (chain n) [Adjoint 0] (N.of_nat (p + 2)) (N.of_nat c) ops.
  Proof.
    intros Hp Pl. assert (reachable n (p + 2) [] (0 + c) [Adjoint 0]) as (ops & tr & Y & R & HB & P & C).
    { eapply reach_in_two with (Y := [Adjoint n]); [repeat constructor; auto| |].
      - apply reach_by_compute; simpl; auto; try lia. rewrite Nat.eqb_refl. intros x [].
      - replace n with (S n - 1) at 2 by lia. apply plan_virtual; auto. }
    exists ops, tr, Y. repeat split; auto.
    - intros S HS. rewrite bytes_are_pebbles. specialize (HB S HS). lia.
    - intros x [<-|[]]. eapply Permutation_in; [apply Permutation_sym; eauto|left; auto].
    - rewrite C. lia.
  Qed.
End Exact.

(** Revolve is exact: among all schedules of the unit chain of [n] steps in [p + 2] values, the fewest forward steps are
    [r (n + 1) - C(p + r, p + 1)], with the [r] for which C(p + r - 1, p) <= n + 1 <= C(p + r, p). *)
Theorem revolve_exact n p r : 1 <= p -> 1 <= r -> longest_chain p (r - 1) <= n + 1 <= longest_chain p r ->
  let c := r * (n + 1) - binomial (p + r) (S p) in
  (exists ops, valid chain_value_eq (chain n) [Adjoint 0] (N.of_nat (p + 2)) (N.of_nat c) ops) /\
  (forall K ops, valid chain_value_eq (chain n) [Adjoint 0] (N.of_nat (p + 2)) K ops -> (N.of_nat c <= K)%N).
Proof.
  intros Hp Hr Hl c. destruct (best_plan p r (n + 1) Hp Hr Hl) as ((c' & P & E) & _).
  assert (Ec : c = c') by (unfold c; lia). rewrite Ec. split.
  - apply revolve_operational_upper; auto. replace (S n) with (n + 1) by lia. exact P.
  - intros K ops V. assert (HL := revolve_operational_lower n p K ops V r).
    assert (EH : discount p r = binomial (p + r) (S p)).
    { destruct r; [lia|]. rewrite discount_is_longest_chain, longest_chain_binomial. f_equal; lia. }
    rewrite EH in HL. lia.
Qed.
