(** From recursive plans to legal schedules of the unit chain. *)

From Coq Require Import List NArith Lia Permutation Arith.
From HcbOpt Require Import PebbleGame BinomialCheckpointing.
Import ListNotations.

(** State [i] is what step [i] of the chain yields; adjoint [i] is the gradient that reverses it. *)
Inductive chain_value := State (i : nat) | Adjoint (i : nat).
Definition chain_value_eq : forall a b : chain_value, {a = b} + {a <> b}. Proof. repeat decide equality. Defined.

Section Chain.
Variable n : nat.
(** The unit chain of [n] steps: each state is computed from the one before, each adjoint from the next adjoint and the
    state. Work counts forward steps. State 0 is computed from the chain's source, and may be recomputed like any
      other. *)
Definition chain : pebble_graph chain_value := {|
  exists_in v := match v with State i => i < n | Adjoint i => i <= n end;
  predecessors v := match v with State 0 => [] | State (S i) => [State i]
                        | Adjoint i => if i =? n then [] else [Adjoint (S i); State i] end;
  size _ := 1%N;
  work v := match v with State _ => 1%N | Adjoint _ => 0%N end |}.
Notation run := (run chain_value_eq chain).
Notation step := (step chain_value_eq chain).

Lemma bytes_are_pebbles X : mem chain X = N.of_nat (length X).
Proof. induction X; [reflexivity|]. change (mem chain (a :: X)) with (1 + mem chain X)%N. rewrite IHX. simpl length.
lia. Qed.

(** From [X] one reaches [Y], in some order, with at most [B] pebbles and exactly [c] forward steps. *)
Definition reachable (B : nat) (X : list chain_value) (c : nat) (Y : list chain_value) : Prop :=
  exists ops tr Y', run X ops tr Y' /\ (forall Z, In Z tr -> length Z <= B) /\
                    Permutation Y' Y /\ total chain ops = N.of_nat c.

Lemma step_perm X o Y X' : step X o Y -> NoDup X -> Permutation X X' ->
  exists Y', step X' o Y' /\ Permutation Y Y'.
Proof.
  intros Hs Hn Hp. destruct Hs as [v X Hd Hv Hi|v X Hi].
  - exists (v :: X'). split; [apply step_compute; auto|auto].
    + intro K. apply Hv. eapply Permutation_in; [apply Permutation_sym|]; eauto.
    + intros u Hu. eapply Permutation_in; eauto.
  - exists (remove chain_value_eq v X'). split; [apply step_free; eapply Permutation_in; eauto|].
    apply NoDup_Permutation; try apply remove_NoDup; auto.
    + eapply Permutation_NoDup; eauto.
    + intro x. split; intros K%in_remove; apply in_in_remove; try tauto;
      (eapply Permutation_in; [|apply K]); auto using Permutation_sym.
Qed.

Lemma run_perm X ops tr Y : run X ops tr Y -> NoDup X -> forall X', Permutation X X' ->
  exists tr' Y', run X' ops tr' Y' /\ Permutation Y Y' /\
    forall B, (forall Z, In Z tr -> length Z <= B) -> forall Z, In Z tr' -> length Z <= B.
Proof.
  induction 1 as [X|X o X1 ops tr Y Hs Hr IH]; intros Hn X' Hp.
  - exists [X'], X'. split; [constructor|split; auto]. intros B HB Z [<-|[]].
    rewrite <- (Permutation_length Hp). apply HB; left; auto.
  - destruct (step_perm _ _ _ _ Hs Hn Hp) as (X1' & Hs' & Hp1).
    destruct (IH (step_NoDup _ _ _ _ _ Hs Hn) X1' Hp1) as (tr' & Y' & Hr' & Hy & Hb).
    exists (X' :: tr'), Y'. split; [econstructor; eauto|split; auto].
    intros B HB Z [<-|HZ]; [|eapply Hb; eauto; intros; apply HB; right; auto].
    rewrite <- (Permutation_length Hp). apply HB; left; auto.
Qed.

Lemma run_app X o1 t1 Y : run X o1 t1 Y -> forall o2 t2 Z, run Y o2 t2 Z ->
  exists t, run X (o1 ++ o2) t Z /\ forall W, In W t -> In W t1 \/ In W t2.
Proof.
  induction 1 as [X|X o X1 ops tr Y Hs Hr IH]; intros o2 t2 Z H2.
  - exists t2; auto.
  - destruct (IH _ _ _ H2) as (t & Ht & Hw). exists (X :: t). split; [econstructor; eauto|].
    intros W [<-|HW]; [left; left; auto|]. destruct (Hw W HW); [left; right|right]; auto.
Qed.

Lemma total_app a b : total chain (a ++ b) = (total chain a + total chain b)%N.
Proof. induction a; simpl; auto. rewrite IHa. lia. Qed.

Lemma reach_itself B X : length X <= B -> reachable B X 0 X.
Proof. intro Hl. exists [], [X], X. repeat split; auto; [constructor|]. intros Z [<-|[]]; auto. Qed.

Lemma reach_in_two B X c1 Y c2 Z : NoDup Y -> reachable B X c1 Y -> reachable B Y c2 Z -> reachable B X (c1 + c2) Z.
Proof.
  intros Hn (o1 & t1 & Y' & R1 & B1 & P1 & C1) (o2 & t2 & Z' & R2 & B2 & P2 & C2).
  destruct (run_perm _ _ _ _ R2 Hn Y' (Permutation_sym P1)) as (t2' & Z'' & R2' & P2' & B2').
  destruct (run_app _ _ _ _ R1 _ _ _ R2') as (t & R & Hw).
  exists (o1 ++ o2), t, Z''. repeat split; auto.
  - intros W HW. destruct (Hw W HW) as [A|A]; [auto|exact (B2' B B2 W A)].
  - eapply Permutation_trans; [apply Permutation_sym; eauto|auto].
  - rewrite total_app, C1, C2. lia.
Qed.

Lemma reach_reordered B X c Y Y' : reachable B X c Y -> Permutation Y Y' -> reachable B X c Y'.
Proof. intros (o & t & Z & R & HB & P & C) Q. exists o, t, Z. repeat split; auto. eapply Permutation_trans; eauto. Qed.

Lemma reach_by_step B X o Y c : step X o Y -> length X <= B -> length Y <= B ->
  move_cost chain o = N.of_nat c -> reachable B X c Y.
Proof.
  intros Hs H1 H2 Hc. exists [o], [X; Y], Y. repeat split; auto.
  - econstructor; [eauto|constructor].
  - intros Z [<-|[<-|[]]]; auto.
  - simpl. lia.
Qed.

Lemma reach_by_compute B X v c : exists_in chain v -> ~ In v X -> incl (predecessors chain v) X -> S (length X) <= B ->
  work chain v = N.of_nat c -> reachable B X c (v :: X).
Proof. intros. eapply reach_by_step with (o := Compute v); simpl; auto; try lia. apply step_compute; auto. Qed.

Lemma reach_by_free B v X Y : Permutation X (v :: Y) -> NoDup X -> length X <= B -> reachable B X 0 Y.
Proof.
  intros Hp Hn Hb. assert (Hi : In v X) by (eapply Permutation_in; [apply Permutation_sym; eauto|left; auto]).
  assert (HnY : NoDup (v :: Y)) by (eapply Permutation_NoDup; eauto).
  assert (Hr : Permutation (remove chain_value_eq v X) Y).
  { apply NoDup_Permutation; [apply remove_NoDup; auto|inversion HnY; auto|].
    intro x. split.
    - intros [K1 K2]%in_remove. assert (In x (v :: Y)) as [->|] by (eapply Permutation_in; eauto); tauto.
    - intro K. inversion HnY; subst. apply in_in_remove; [intros ->; auto|].
      eapply Permutation_in; [apply Permutation_sym; eauto|right; auto]. }
  eapply reach_reordered; [|exact Hr]. eapply reach_by_step with (o := Free v); auto.
  - now apply step_free.
  - apply Permutation_length in Hr. apply Permutation_length in Hp. simpl in Hp. lia.
Qed.

(** Sweep forward from state [a] to state [a + k], keeping state [a]. *)
Lemma advance B a k Y : 0 < k -> a + k < n -> NoDup (State a :: Y) ->
  (forall i, a < i <= a + k -> ~ In (State i) Y) -> length Y + (if k =? 1 then 2 else 3) <= B ->
  reachable B (State a :: Y) k (State (a + k) :: State a :: Y).
Proof.
  intros Hk. induction k as [|k IH]; [lia|]. intros Hn Hd Hf Hb.
  destruct (Nat.eq_dec k 0) as [->|].
  - replace (a + 1) with (S a) in * by lia. apply reach_by_compute; simpl in *; auto; try lia.
    + intros [E|E]; [injection E; lia|]. apply (Hf (S a)); auto; lia.
    + intros x [<-|[]]; left; auto.
  - replace (S k =? 1) with false in Hb by (symmetry; apply Nat.eqb_neq; lia).
    assert (Hdk : NoDup (State (a + k) :: State a :: Y)).
    { constructor; auto. intros [E|E]; [injection E; lia|]. apply (Hf (a + k)); auto; lia. }
    assert (Hds : NoDup (State (a + S k) :: State (a + k) :: State a :: Y)).
    { constructor; auto. intros [E|[E|E]]; try (injection E; lia). apply (Hf (a + S k)); auto; lia. }
    replace (S k) with (k + (1 + 0)) at 1 by lia.
    eapply reach_in_two; [exact Hdk|apply IH; auto; try lia|].
    + intros; apply Hf; lia.
    + destruct (k =? 1); lia.
    + eapply reach_in_two; [exact Hds|apply reach_by_compute; simpl; auto; try lia|].
      * inversion Hds; auto.
      * replace (a + S k) with (S (a + k)) by lia. intros x [<-|[]]; left; auto.
      * apply reach_by_free with (v := State (a + k)); auto; [apply perm_swap|simpl; lia].
Qed.

(** A plan for [l] steps with [s] snapshots is a schedule of [s + 3] pebbles. *)
Theorem plan_sound l s c : plan l s c -> forall a Y B,
  a + l <= n -> NoDup (Adjoint (a + l) :: State a :: Y) ->
  (forall i, a <= i < a + l -> ~ In (State i) Y) -> (forall i, a <= i <= a + l -> ~ In (Adjoint i) Y) ->
  length Y + s + 3 <= B -> reachable B (Adjoint (a + l) :: State a :: Y) c (Adjoint a :: State a :: Y).
Proof.
  induction 1 as [s|l s k c1 c2 Hk P1 IH1 P2 IH2]; intros a Y B Ha Hd HF HG Hb.
  - replace (a + 1) with (S a) in * by lia. replace 0 with (0 + 0) by lia.
    assert (HNG : ~ In (Adjoint a) (Adjoint (S a) :: State a :: Y)).
    { intros [E|[E|E]]; [injection E; lia|discriminate|]. apply (HG a); auto; lia. }
    eapply reach_in_two; [|apply reach_by_compute with (v := Adjoint a); simpl; auto; try lia|].
    + constructor; auto.
    + intros x. destruct (Nat.eqb_spec a n); [lia|]. intros [<-|[<-|[]]]; simpl; auto.
    + apply reach_by_free with (v := Adjoint (S a)); [apply perm_swap|constructor; auto|simpl; lia].
  - inversion Hd as [|? ? Hd1 Hd2]; subst. inversion Hd2 as [|? ? Hd3 Hd4]; subst.
    assert (HFk : ~ In (State (a + k)) (Adjoint (a + l) :: State a :: Y)).
    { intros [E|[E|E]]; [discriminate|injection E; lia|]. apply (HF (a + k)); auto; lia. }
    assert (Hd5 : NoDup (State a :: Adjoint (a + l) :: Y)).
    { eapply Permutation_NoDup; [apply perm_swap|]; auto. }
    assert (HP : Permutation (State (a + k) :: State a :: Adjoint (a + l) :: Y) (Adjoint (a + l) :: State (a + k) ::
      State a :: Y)).
    { eapply Permutation_trans; [apply perm_skip, perm_swap|apply perm_swap]. }
    assert (HNm : NoDup (Adjoint (a + l) :: State (a + k) :: State a :: Y)).
    { eapply Permutation_NoDup; [apply perm_swap|]. constructor; auto. }
    assert (HGk : ~ In (Adjoint (a + k)) (State a :: Y)).
    { intros [E|E]; [discriminate|]. apply (HG (a + k)); auto; lia. }
    assert (HNk : NoDup (Adjoint (a + k) :: State a :: Y)) by (constructor; auto).
    assert (HNr : NoDup (Adjoint (a + k) :: State (a + k) :: State a :: Y)).
    { eapply Permutation_NoDup; [apply perm_swap|]. constructor; auto.
      intros [E|[E|E]]; [discriminate|injection E; lia|]. apply (HF (a + k)); auto; lia. }
    replace (k + c1 + c2) with (0 + (k + (c2 + (0 + c1)))) by lia.
    eapply reach_in_two; [exact Hd5| |].
    { exists [], [Adjoint (a + l) :: State a :: Y], (Adjoint (a + l) :: State a :: Y).
      repeat split; auto; [constructor| |apply perm_swap].
      intros Z [<-|[]]; simpl; lia. }
    eapply reach_in_two; [exact HNm| |].
    { eapply reach_reordered; [|exact HP]. apply advance; auto; try lia.
      - intros i Hi [E|E]; [discriminate|]. destruct (Nat.eq_dec i (a + k)) as [->|].
        + apply HFk; simpl; auto.
        + apply (HF i); auto; lia.
      - simpl. destruct (k =? 1); lia. }
    eapply reach_in_two; [exact HNr| |].
    { replace (a + l) with (a + k + (l - k)) in * by lia.
      apply IH2; auto; try lia.
      - intros i Hi [E|E]; [injection E; lia|]. apply (HF i); auto; lia.
      - intros i Hi [E|E]; [discriminate|]. apply (HG i); auto; lia.
      - simpl. lia. }
    eapply reach_in_two; [exact HNk|apply reach_by_free with (v := State (a + k)); [apply perm_swap|auto|simpl; lia]|].
    apply IH1; auto; try lia.
    + intros i Hi. apply HF; lia.
    + intros i Hi. apply HG; lia.
Qed.
End Chain.

(** A plan, as a schedule of the whole chain; the first step counts one more. *)
Theorem plan_valid n s c : 0 < n -> plan n s c ->
  exists ops, valid chain_value_eq (chain n) [Adjoint 0] (N.of_nat (s + 3)) (N.of_nat (c + 1)) ops.
Proof.
  intros Hn Hp.
  assert (reachable n (s + 3) [] (1 + (0 + c)) [Adjoint 0; State 0]) as (ops & tr & Y & R & HB & P & C).
  { eapply reach_in_two with (Y := [State 0]); [repeat constructor; auto| |].
    - apply reach_by_compute; simpl; auto; try lia. intros x [].
    - eapply reach_in_two with (Y := [Adjoint n; State 0]).
      + repeat constructor; simpl; intuition discriminate.
      + apply reach_by_compute; simpl; auto; try lia.
        * intros [E|[]]; discriminate.
        * rewrite Nat.eqb_refl. intros x [].
      + apply (plan_sound n n s c Hp 0 []); simpl; auto; try lia.
        repeat constructor; simpl; intuition discriminate. }
  exists ops, tr, Y. repeat split; auto.
  - intros S HS. rewrite bytes_are_pebbles. specialize (HB S HS). lia.
  - intros x [<-|[]]. eapply Permutation_in; [apply Permutation_sym; eauto|left; auto].
  - rewrite C. lia.
Qed.

(** * Two levels: [m] segments of [b] steps *)

Lemma plan_mono l s c : plan l s c -> forall s', s <= s' -> plan l s' c.
Proof. induction 1; intros s' Hs; [constructor|]. destruct s' as [|s']; [lia|].
constructor; [auto|apply IHplan1; lia|apply IHplan2; lia]. Qed.

Lemma plan_keep_all l s : 0 < l <= s + 1 -> plan l s (l - 1).
Proof.
  revert l; induction s; intros l H; [replace l with 1 by lia; constructor|].
  destruct (Nat.eq_dec l 1) as [->|]; [constructor|].
  replace (l - 1) with (1 + 0 + (l - 1 - 1)) by lia.
  constructor; [lia|constructor|]. apply IHs. lia.
Qed.

Lemma plan_two_level b m : 0 < b -> 0 < m -> plan (m * b) (m + b - 2) ((m - 1) * b + m * (b - 1)).
Proof.
  intros Hb. induction m as [|m IH]; [lia|]. intros _.
  destruct (Nat.eq_dec m 0) as [->|].
  { replace (1 * b) with b by lia. replace ((1 - 1) * b + 1 * (b - 1)) with (b - 1) by lia.
    apply plan_keep_all. lia. }
  replace (S m + b - 2) with (S (m + b - 2)) by lia.
  replace ((S m - 1) * b + S m * (b - 1)) with (b + (b - 1) + ((m - 1) * b + m * (b - 1))).
  2:{ destruct m; [lia|]. replace (S (S m) - 1) with (S m) by lia. replace (S m - 1) with m by lia. simpl. lia. }
  constructor.
  - simpl. destruct m; [lia|]. simpl. lia.
  - apply plan_keep_all. lia.
  - replace (S m * b - b) with (m * b) by (simpl; lia). apply IH. lia.
Qed.

(** Chen et al. (2016): [m b] steps in [m + b + 1] values and at most [2 m b] forward steps. *)
Theorem sqrt_checkpointing b m : 0 < b -> 0 < m ->
  exists ops, valid chain_value_eq (chain (m * b)) [Adjoint 0] (N.of_nat (m + b + 1)) (N.of_nat (2 * (m * b))) ops.
Proof.
  intros Hb Hm. destruct (plan_valid (m * b) _ _ ltac:(nia) (plan_two_level b m Hb Hm)) as (ops & V).
  exists ops. destruct V as (tr & S' & R & HM & HO & HK). exists tr, S'. repeat split; auto.
  - intros S HS. specialize (HM S HS). lia.
  - assert ((m - 1) * b + m * (b - 1) + 1 <= 2 * (m * b)) by nia. lia.
Qed.

(** Revolve: [l] steps in [s + 3] values with [r l - C(s + r, s + 1) + 1] forward steps. *)
Theorem revolve_schedule s r l : 1 <= s -> 1 <= r -> longest_chain s (r - 1) <= l <= longest_chain s r ->
  exists c ops, valid chain_value_eq (chain l) [Adjoint 0] (N.of_nat (s + 3)) (N.of_nat (c + 1)) ops /\
                c + binomial (s + r) (S s) = r * l.
Proof.
  intros Hs Hr Hl. destruct (best_plan s r l Hs Hr Hl) as ((c & P & E) & _).
  assert (0 < l) by (pose proof (longest_chain_positive s (r - 1)); lia).
  destruct (plan_valid l s c H P) as (ops & V). eauto.
Qed.
