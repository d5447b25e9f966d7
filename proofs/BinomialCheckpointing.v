(** Binomial checkpointing: how long a chain, and how many forward steps (Griewank and Walther, 2000).

    Here plans are abstract recursive splits; [ChainPlans.v] turns them into schedules. *)

From Coq Require Import List Arith Lia.

(** Binomial coefficients. *)
Fixpoint binomial (n k : nat) : nat :=
  match n, k with
  | _, 0 => 1 | 0, S _ => 0 | S n', S k' => binomial n' k' + binomial n' (S k')
  end.

(** The longest chain that [s] further snapshots reverse when each step runs forward at most [r] times:
    [hcb_opt.binomial.longest_chain]. *)
Fixpoint longest_chain (s : nat) : nat -> nat :=
  match s with
  | 0 => fun _ => 1
  | S s' => fix b (r : nat) : nat := match r with 0 => 1 | S r' => longest_chain s' (S r') + b r' end
  end.
Lemma longest_chain_step s r : longest_chain (S s) (S r) = longest_chain s (S r) + longest_chain (S s) r. Proof.
reflexivity. Qed.
Lemma longest_chain_no_snapshots r : longest_chain 0 r = 1. Proof. reflexivity. Qed.
Lemma longest_chain_no_repeats s : longest_chain s 0 = 1. Proof. destruct s; reflexivity. Qed.
Lemma longest_chain_positive s r : 1 <= longest_chain s r.
Proof. revert r; induction s; intro r; [simpl; lia|]. induction r; [simpl; lia|]. rewrite longest_chain_step. lia. Qed.

Lemma binomial_above n k : n < k -> binomial n k = 0.
Proof. revert k; induction n; intros [|k] H; simpl; try lia. rewrite !IHn; lia. Qed.
Lemma binomial_diagonal n : binomial n n = 1.
Proof. induction n; simpl; auto. rewrite IHn, binomial_above; lia. Qed.

Lemma binomial_step n k : binomial (S n) (S k) = binomial n k + binomial n (S k). Proof. reflexivity. Qed.
(** It is the binomial coefficient C(s + r, s). *)
Theorem longest_chain_binomial s r : longest_chain s r = binomial (s + r) s.
Proof.
  revert r; induction s; intro r; [now destruct r|]. induction r.
  - rewrite longest_chain_no_repeats, Nat.add_0_r, binomial_diagonal. reflexivity.
  - rewrite longest_chain_step, IHs, IHr. rewrite (Nat.add_comm (S s) (S r)).
    change (S r + S s) with (S (r + S s)). rewrite binomial_step.
    f_equal; f_equal; lia.
Qed.

Lemma longest_chain_grows s r : longest_chain s r <= longest_chain s (S r).
Proof. destruct s; [simpl; lia|]. rewrite longest_chain_step. lia. Qed.

(** * How long a chain can be when steps may repeat so often *)

(** [repeated_plan length snapshots repeats]: advance to some split, place a snapshot, reverse the right part with one
    snapshot less, then the left part, whose steps have then run once. *)
Inductive repeated_plan : nat -> nat -> nat -> Prop :=
| reverse_one_repeated s r : repeated_plan 1 s r
| split_repeated l s r k : 0 < k < l -> repeated_plan k (S s) r -> repeated_plan (l - k) s (S r) ->
  repeated_plan l (S s) (S r).

(** No plan reverses more. *)
Theorem repeated_plan_bounded l s r : repeated_plan l s r -> 1 <= l <= longest_chain s r.
Proof.
  induction 1; [split; [lia|apply longest_chain_positive]|]. rewrite longest_chain_step. lia.
Qed.
(** Every length up to it can be reversed. *)
Theorem repeated_plan_exists s r l : 1 <= l <= longest_chain s r -> repeated_plan l s r.
Proof.
  revert r l; induction s as [|s IHs]; [intros r l H; rewrite longest_chain_no_snapshots in H;
    replace l with 1 by lia; constructor|].
  induction r as [|r IHr]; intros l H; [rewrite longest_chain_no_repeats in H; replace l with 1 by lia; constructor|].
  destruct (Nat.eq_dec l 1) as [->|]; [constructor|]. rewrite longest_chain_step in H.
  assert (P1 := longest_chain_positive s (S r)). assert (P2 := longest_chain_positive (S s) r).
  apply split_repeated with (k := Nat.max 1 (l - longest_chain s (S r))); [lia|apply IHr; lia|apply IHs; lia].
Qed.
(** The longest chain is C(s + r, s). *)
Corollary revolve_max_length s r :
  repeated_plan (binomial (s + r) s) s r /\ forall l, repeated_plan l s r -> l <= binomial (s + r) s.
Proof.
  rewrite <- longest_chain_binomial. split; [apply repeated_plan_exists; split; auto using longest_chain_positive|].
  intros l H%repeated_plan_bounded. lia.
Qed.

(** * How many forward steps a plan takes *)

(** [plan length snapshots advances]: as above, counting the forward steps of the advances. *)
Inductive plan : nat -> nat -> nat -> Prop :=
| reverse_one s : plan 1 s 0
| split l s k c1 c2 : 0 < k < l -> plan k (S s) c1 -> plan (l - k) s c2 -> plan l (S s) (k + c1 + c2).

(** The sum of [longest_chain s q] over q < r: how much less than [r] advances per step a plan can take. *)
Fixpoint discount (s r : nat) : nat := match r with 0 => 0 | S r' => discount s r' + longest_chain s r' end.
Lemma discount_step s r : discount (S s) (S r) = discount s (S r) + discount (S s) r.
Proof.
  induction r; [unfold discount; rewrite !longest_chain_no_repeats; reflexivity|].
  change (discount (S s) (S (S r))) with (discount (S s) (S r) + longest_chain (S s) (S r)).
  change (discount s (S (S r))) with (discount s (S r) + longest_chain s (S r)).
  change (discount (S s) (S r)) with (discount (S s) r + longest_chain (S s) r) in *.
  rewrite longest_chain_step. lia.
Qed.
Lemma discount_at_least_repeats s r : r <= discount s r.
Proof. induction r; simpl; [lia|]. pose proof (longest_chain_positive s r). lia. Qed.
Lemma discount_is_longest_chain s r : discount s (S r) = longest_chain (S s) r.  (* hockey stick *)
Proof.
  induction r; [unfold discount; rewrite !longest_chain_no_repeats; reflexivity|].
  rewrite longest_chain_step, <- IHr. change (discount s (S (S r))) with (discount s (S r) + longest_chain s (S r)).
  lia.
Qed.

(** Every plan takes at least r l - C(s + r, s + 1) advances, for every r. *)
Theorem plan_pays l s c : plan l s c -> forall r, r * l <= c + discount s r.
Proof.
  induction 1 as [s|l s k c1 c2 Hk P1 IH1 P2 IH2]; intro r.
  - pose proof (discount_at_least_repeats s r). lia.
  - destruct r as [|r]; [simpl; lia|]. rewrite discount_step.
    specialize (IH1 r). specialize (IH2 (S r)).
    assert (E : l = k + (l - k)) by lia. rewrite E, Nat.mul_add_distr_l. simpl Nat.mul in *. lia.
Qed.

(** For the right r, a plan attains it. *)
Theorem plan_attains s r l : 1 <= l <= longest_chain s r -> (r = 0 \/ longest_chain s (r - 1) <= l) ->
  exists c, plan l s c /\ c + discount s r = r * l.
Proof.
  revert r l; induction s as [|s IHs].
  { intros r l Hl _. rewrite longest_chain_no_snapshots in Hl. replace l with 1 by lia.
    exists 0. split; [constructor|]. clear. induction r; simpl in *; lia. }
  induction r as [|r IHr]; intros l Hl Hr.
  { rewrite longest_chain_no_repeats in Hl. replace l with 1 by lia. exists 0. split; [constructor|reflexivity]. }
  destruct Hr as [?|Hr]; [lia|]. replace (S r - 1) with r in Hr by lia.
  destruct (Nat.eq_dec l 1) as [->|Hl1].
  { destruct r as [|r]. { exists 0. split; [constructor|]. simpl. lia. }
    rewrite longest_chain_step in Hr. pose proof (longest_chain_positive s (S r)).
    pose proof (longest_chain_positive (S s) r). lia. }
  rewrite longest_chain_step in Hl.
  assert (M1 := longest_chain_grows s r). assert (B0 := longest_chain_positive s r).
  (* The split: both parts in the range where they attain their bounds. *)
  assert (exists k, 1 <= k <= longest_chain (S s) r /\ (r = 0 \/ longest_chain (S s) (r - 1) <= k) /\
                    longest_chain s r <= l - k <= longest_chain s (S r) /\ k < l) as (k & Hk & Hkr & Hlk & Hkl).
  { destruct r as [|r].
    - exists 1. rewrite ?longest_chain_no_repeats in *. lia.
    - replace (S r - 1) with r by lia. assert (P := longest_chain_positive (S s) r).
      assert (M2 := longest_chain_grows (S s) r). rewrite longest_chain_step in Hr.
      exists (Nat.max (longest_chain (S s) r) (l - longest_chain s (S (S r)))). rewrite longest_chain_step in *. lia. }
  destruct (IHr k Hk Hkr) as (c1 & P1 & E1).
  destruct (IHs (S r) (l - k)) as (c2 & P2 & E2); [lia|right; replace (S r - 1) with r by lia; lia|].
  exists (k + c1 + c2). split; [constructor; auto; lia|].
  rewrite discount_step. assert (E : l = k + (l - k)) by lia.
  rewrite E at 1. rewrite Nat.mul_add_distr_l. simpl Nat.mul in *. lia.
Qed.

(** The fewest advances: t(l, s) of Griewank and Walther (2000), [hcb_opt.binomial.extra_forward_steps]. *)
Theorem best_plan s r l : 1 <= s -> 1 <= r -> longest_chain s (r - 1) <= l <= longest_chain s r ->
  (exists c, plan l s c /\ c + binomial (s + r) (S s) = r * l) /\
  (forall c, plan l s c -> r * l <= c + binomial (s + r) (S s)).
Proof.
  intros Hs Hr Hl. assert (E : discount s r = binomial (s + r) (S s)).
  { destruct r; [lia|]. rewrite discount_is_longest_chain, longest_chain_binomial. f_equal; lia. }
  rewrite <- E. split; [|intros c P; apply plan_pays; auto].
  apply plan_attains; [|right; lia]. pose proof (longest_chain_positive s (r - 1)). lia.
Qed.
