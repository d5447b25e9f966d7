(** The toolkit's chain of equal steps, and the fewest forward steps that any schedule of it takes.

    The graph is that of [hcb_opt.generators.chain] and [hcb_opt.unit_chains] with all values one byte. The state before
    the first step is persistent, so that the first step may run at any time. *)

From Coq Require Import List Arith NArith Bool Lia.
From HcbOpt Require Import BinomialCheckpointing PebbleGame ChainPlans ChainGraph.
From HcbOpt Require Import Sums Model Residency Appending Simulation.
Import ListNotations.
Local Open Scope N_scope.

(** Ops 0 .. n - 1 are the forward steps f_1 .. f_n; op n is the loss, which reads x_n; then come the backward steps b_n
    down to b_1, each reading the gradient before it, and b_i also x_(i-1), but for b_1.
    Every op writes the value of its
    number. Forward steps cost 1, the others nothing, so that the cost is the number of forward steps. *)
Definition unit_chain (n : N) : graph := {|
  op_count := n + n + 1;
  value_count := n + n + 1;
  inputs := fun o =>
    if o <? n + 1 then if o =? 0 then [] else [o - 1]
    else if o =? n + n then [o - 1] else [o - 1; n + n - 1 - o];
  outputs := fun o => [o];
  cost := fun o => if o <? n then 1 else 0;
  workspace := fun _ => 0;
  size := fun _ => 1;
  producer := fun v => v;
  required := [n + n];
  persistent_bytes := 0
|}.

Lemma unit_chain_is_well_formed n : 1 <= n -> well_formed (unit_chain n).
Proof.
  intro Hn. constructor; cbn [op_count value_count inputs outputs producer required unit_chain]; auto.
  - intros o v Ho. destruct (N.ltb_spec o (n + 1)); [destruct (N.eqb_spec o 0); [intros []|intros [<-|[]]; lia]|].
    destruct (N.eqb_spec o (n + n)); [intros [<-|[]]; lia|intros [<-|[<-|[]]]; lia].
  - intros o Ho. destruct (N.ltb_spec o (n + 1)); [destruct (N.eqb_spec o 0); repeat constructor; intros []|].
    destruct (N.eqb_spec o (n + n)); repeat constructor; intros []; auto; lia.
  - intros o v Ho [<-|[]]. auto.
  - intros. repeat constructor. intros [].
  - intros v Hv. split; [auto|left; auto].
  - intros v [<-|[]]. lia.
  - repeat constructor. intros [].
Qed.

(** The part that matters: f_1 .. f_(n-1), the gradient of x_n as if it came from nowhere, and b_n .. b_2. It is the
    chain
    of [ChainGraph.v] with n - 1 states. *)
Definition part_op (n o : N) : option N :=
  if o <? n - 1 then Some o else if o =? n - 1 then None else if o <? n + n then Some (o - 1) else None.

Definition whole_value (n v : N) : N := if v <? n - 1 then v else v + 1.

Lemma chain_is_part (m : nat) : let n := N.of_nat (S m) in
  is_part_of (unit_chain n) (chain_graph m) (part_op n) (part_op n) (whole_value n).
Proof.
  intro n. assert (Hinputs : forall p, p < N.of_nat (m + m + 1) -> inputs (chain_graph m) p =
    if p <? N.of_nat m + 1 then if (p =? 0) || (p =? N.of_nat m) then [] else [p - 1]
    else [p - 1; N.of_nat (m + m) - p]).
  { intros p Hp. cbn [inputs chain_graph]. unfold named.
    destruct (N.ltb_spec p (N.of_nat m)).
    - rewrite (proj2 (N.ltb_lt p _)) by lia. destruct (N.eqb_spec p (N.of_nat m)); [lia|].
      destruct (N.eqb_spec p 0) as [->|]; [reflexivity|].
      destruct (N.to_nat p) as [|i] eqn:E; [lia|]. cbn. f_equal. lia.
    - cbn [predecessors chain]. destruct (Nat.eqb_spec (m + m - N.to_nat p) m).
      + assert (p = N.of_nat m) by lia. subst p. rewrite (proj2 (N.ltb_lt _ _)) by lia.
        rewrite N.eqb_refl, orb_true_r. reflexivity.
      + rewrite (proj2 (N.ltb_ge _ _)) by lia. cbn [map number]. f_equal; [lia|f_equal; lia]. }
  unfold part_op, whole_value.
  constructor; cbn [op_count value_count outputs size workspace cost unit_chain chain_graph].
  - apply chain_graph_is_well_formed.
  - apply unit_chain_is_well_formed. lia.
  - intros o p Ho. destruct (N.ltb_spec o (n - 1)); [intros [= <-]; lia|].
    destruct (N.eqb_spec o (n - 1)); [discriminate|]. destruct (N.ltb_spec o (n + n)); [intros [= <-];
      lia|discriminate].
  - intros u v. destruct (N.ltb_spec u (n - 1)); [|destruct (N.eqb_spec u (n - 1)); [|destruct (N.ltb_spec u (n + n))]];
      (split; [intros [= <-] || intros [=]|]; try (intros [Hv E]; destruct (N.ltb_spec v (n - 1)); try lia; f_equal;
        lia)).
    + destruct (N.ltb_spec u (n - 1)); lia.
    + destruct (N.ltb_spec (u - 1) (n - 1)); lia.
  - intros v Hv. destruct (N.ltb_spec v (n - 1)); lia.
  - intros o p v Ho Hp. assert (Hpc : p < N.of_nat (m + m + 1)).
    { revert Hp. destruct (N.ltb_spec o (n - 1)); [intros [= <-]; lia|].
      destruct (N.eqb_spec o (n - 1)); [discriminate|].
      destruct (N.ltb_spec o (n + n)); [intros [= <-]; lia|discriminate]. }
    rewrite (Hinputs p Hpc). cbn [inputs unit_chain]. revert Hp.
    destruct (N.ltb_spec o (n - 1)); [intros [= <-]|destruct (N.eqb_spec o (n - 1)); [discriminate|];
      destruct (N.ltb_spec o (n + n)); [intros [= <-]|discriminate]].
    + rewrite (proj2 (N.ltb_lt o (N.of_nat m + 1))), (proj2 (N.ltb_lt o (n + 1))) by lia.
      destruct (N.eqb_spec o 0); [intros []|]. rewrite (proj2 (N.eqb_neq o (N.of_nat m))) by lia.
      intros [<-|[]]. left. destruct (N.ltb_spec (o - 1) (n - 1)); lia.
    + destruct (N.ltb_spec (o - 1) (N.of_nat m + 1)).
      * rewrite (proj2 (N.eqb_eq (o - 1) (N.of_nat m))), orb_true_r by lia. intros [].
      * rewrite (proj2 (N.ltb_ge o (n + 1))), (proj2 (N.eqb_neq o (n + n))) by lia.
        intros [<-|[<-|[]]]; [left|right; left].
        -- destruct (N.ltb_spec (o - 1 - 1) (n - 1)); lia.
        -- destruct (N.ltb_spec (N.of_nat (m + m) - (o - 1)) (n - 1)); lia.
  - intros o p v Ho Hp Hv. cbn [In]. revert Hp.
    destruct (N.ltb_spec o (n - 1)); [intros [= <-]|destruct (N.eqb_spec o (n - 1)); [discriminate|];
      destruct (N.ltb_spec o (n + n)); [intros [= <-]|discriminate]];
      destruct (N.ltb_spec v (n - 1)); split; intros [E|[]]; left; lia.
  - intros o v Ho Hp Hv [E|[]]. revert Hp.
    destruct (N.ltb_spec o (n - 1)); [discriminate|]. destruct (N.ltb_spec v (n - 1));
      destruct (N.eqb_spec o (n - 1)); try lia; destruct (N.ltb_spec o (n + n)); try discriminate; lia.
  - intros. lia.
  - intros. lia.
  - intros o p. destruct (N.ltb_spec o (n - 1)); [intros [= <-]|destruct (N.eqb_spec o (n - 1)); [discriminate|];
      destruct (N.ltb_spec o (n + n)); [intros [= <-]|discriminate]].
    + rewrite (proj2 (N.ltb_lt o n)) by lia. unfold named. rewrite (proj2 (N.ltb_lt o _)) by lia. cbn. lia.
    + unfold named. destruct (N.ltb_spec (o - 1) (N.of_nat m)); [lia|]. cbn. lia.
Qed.

(** No legal schedule of the unit chain of [n] steps with a peak of at most [p + 2] values, in whatever order, runs
    fewer
    forward steps than t(n, p) + 1: Revolve's count t(n, p) = r n - C(p + r, p + 1) for the steps before the last,
      and the
    last. *)
Theorem unit_chain_needs n p r s : (2 <= n)%nat -> (1 <= p)%nat -> (1 <= r)%nat ->
  (longest_chain p (r - 1) <= n <= longest_chain p r)%nat ->
  legal (unit_chain (N.of_nat n)) s -> peak (unit_chain (N.of_nat n)) s <= N.of_nat (p + 2) ->
  N.of_nat (r * n - binomial (p + r) (S p) + 1) <= schedule_cost (unit_chain (N.of_nat n)) s.
Proof.
  intros Hn Hp Hr Hl L P. destruct n as [|m]; [lia|]. set (g := unit_chain (N.of_nat (S m))) in *.
  assert (Hpart := chain_is_part m). cbv zeta in Hpart. fold g in Hpart.
  set (image := image_of (part_op (N.of_nat (S m))) (part_op (N.of_nat (S m)))).
  (* The schedule up to the first run of b_2, which writes the gradient of x_1. *)
  assert (Hb2 : computed s (N.of_nat (m + m + 1)) = true) by (apply (legal_computes g s L); cbn; lia).
  apply computed_at in Hb2. destruct Hb2 as (t & Ht). set (begun := firstn (S t) s).
  assert (Hsplit : s = begun ++ skipn (S t) s) by (symmetry; apply firstn_skipn).
  assert (Hbegun : every_action_allowed g begun).
  { apply (allowed_before g begun (skipn (S t) s)). rewrite <- Hsplit. apply (legal_actions g s L). }
  destruct (image_is_allowed _ _ _ _ _ Hpart begun Hbegun) as (A & Alike & Hpeak). fold image in A, Alike, Hpeak.
  assert (Hfits : peak g begun <= peak g s) by (rewrite Hsplit at 1; apply peak_before).
  assert (Hend : state_after (chain_graph m) (image begun) (number m (Adjoint 0)) = true).
  { rewrite (Alike (number m (Adjoint 0))) by (cbn; lia).
    change (state_after g begun) with (state_before g s (S t)).
    apply (touched_resident g s t (N.of_nat (m + m + 1)) _ (legal_actions g s L) Ht).
    apply in_or_app. right. left. unfold whole_value. cbn [number].
    destruct (N.ltb_spec (N.of_nat (m + m - 0)) (N.of_nat (S m) - 1)); lia. }
  assert (Limage : legal (chain_graph m) (image begun)).
  { constructor; auto.
    - intros o Ho. destruct (number_named m o Ho) as [Eo To]. rewrite <- Eo. apply everything_is_computed; auto.
      rewrite <- state_before_end in Hend.
      assert (Hc := resident_was_computed _ (chain_graph_is_well_formed m) _ _ _ A (le_n _) Hend).
      now rewrite firstn_all in Hc.
    - intros v [<-|[]]. auto. }
  destruct (revolve_is_exact m p r Hp Hr ltac:(lia)) as [_ Hleast]. cbv zeta in Hleast.
  specialize (Hleast (image begun) Limage ltac:(lia)).
  (* f_n, which the part leaves out, runs as well. *)
  assert (Hcost := image_costs_less _ _ _ _ _ Hpart s). fold image in Hcost.
  assert (Himage : schedule_cost (chain_graph m) (image begun) <= schedule_cost (chain_graph m) (image s)).
  { rewrite Hsplit at 1. unfold image, image_of. rewrite flat_map_app. unfold schedule_cost. rewrite total_app. lia. }
  assert (Hfn : 1 <= total (fun a => match a with
            | Compute o => match part_op (N.of_nat (S m)) o with Some _ => 0 | None => cost g o end
            | Drop _ => 0 end) s).
  { assert (Hc : computed s (N.of_nat m) = true) by (apply (legal_computes g s L); cbn; lia).
    apply computed_at in Hc. destruct Hc as (u & Hu). apply nth_error_In in Hu.
    etransitivity; [|apply (total_incl _ [Compute (N.of_nat m)] s)].
    - cbn. unfold part_op. rewrite (proj2 (N.ltb_ge _ _)), (proj2 (N.eqb_eq _ _)) by lia.
      rewrite (proj2 (N.ltb_lt _ _)) by lia. lia.
    - repeat constructor. intros [].
    - intros a [<-|[]]. auto. }
  replace (S m) with (m + 1)%nat in * by lia. lia.
Qed.
