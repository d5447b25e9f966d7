(** Block checkpointing on the chain of equal steps: what [BlockCheckpointing.v] says of any graph, said of this one. *)

From Coq Require Import List Arith NArith Bool Lia.
From HcbOpt Require Import Sums Model Residency Walks UnitChain BlockCheckpointing.
Import ListNotations.
Local Open Scope N_scope.

(** Equal blocks of [b] ops, the last one perhaps shorter. *)
Definition equal_blocks (b turn : N) (j : nat) : N := N.min (N.of_nat j * b) turn.

Lemma equal_blocks_ascend b turn j : equal_blocks b turn j <= equal_blocks b turn (S j) <= equal_blocks b turn j + b.
Proof. unfold equal_blocks. lia. Qed.

(** The toolkit's chain of [n] unit steps: the backward step that reads x_i belongs to the block that begins there or
    holds f_i; the loss and b_n begin the backward pass. *)
Definition chain_backs (n b : N) (j : nat) : N :=
  let start := equal_blocks b n j in if start =? n then n else n + n + 1 - start.

Lemma unit_chain_in_blocks n b count : 1 <= n -> n <= N.of_nat count * b ->
  in_blocks (unit_chain n) n (equal_blocks b n) (chain_backs n b) count.
Proof.
  intros Hn Hcount. assert (Hend : equal_blocks b n count = n) by (unfold equal_blocks; lia). constructor.
  - unfold equal_blocks. lia.
  - exact Hend.
  - intros j _. apply equal_blocks_ascend.
  - unfold chain_backs. now rewrite Hend, N.eqb_refl.
  - unfold chain_backs. change (equal_blocks b n 0) with (N.min 0 n). rewrite N.min_0_l.
    destruct (N.eqb_spec 0 n); cbn; lia.
  - intros j _. assert (H := equal_blocks_ascend b n j). unfold chain_backs.
    assert (equal_blocks b n (S j) <= n) by (unfold equal_blocks; lia).
    destruct (N.eqb_spec (equal_blocks b n (S j)) n), (N.eqb_spec (equal_blocks b n j) n); lia.
  - intros j q v _ Hq Hv. assert (H := equal_blocks_ascend b n j). unfold chain_backs in Hq.
    set (one := equal_blocks b n j) in *. set (two := equal_blocks b n (S j)) in *.
    assert (two <= n) by (unfold two, equal_blocks; lia). cbn [producer unit_chain inputs] in *.
    destruct (N.le_gt_cases n v) as [Hv'|Hv']; [now left|right].
    assert (Hlive : forall i, 0 < i -> v + 1 = i -> i < n -> live (unit_chain n) n i v = true).
    { intros i Hi Ev Hin. apply live_iff. cbn [producer unit_chain inputs]. split; [lia|]. right. exists i.
      split; [lia|]. rewrite (proj2 (N.ltb_lt _ _)), (proj2 (N.eqb_neq _ _)) by lia. left. lia. }
    destruct (N.eqb_spec two n), (N.eqb_spec one n); try lia.
    + destruct (N.ltb_spec q (n + 1)); [destruct (N.eqb_spec q 0); [lia|destruct Hv as [<-|[]]; lia]|].
      destruct (N.eqb_spec q (n + n)); [destruct Hv as [<-|[]]; lia|]. destruct Hv as [<-|[<-|[]]]; [lia|].
      destruct (N.le_gt_cases one (n + n - 1 - q)); [left; lia|right; apply Hlive; lia].
    + destruct (N.ltb_spec q (n + 1)); [lia|].
      destruct (N.eqb_spec q (n + n)); [destruct Hv as [<-|[]]; lia|]. destruct Hv as [<-|[<-|[]]]; [lia|].
      destruct (N.le_gt_cases one (n + n - 1 - q)); [left; lia|right; apply Hlive; lia].
Qed.

Lemma unit_chain_weighs n b count : 1 <= n -> weighs (unit_chain n) n (equal_blocks b n) count 1 b 1 2 0.
Proof.
  intro Hn. constructor.
  - intros i Hi. rewrite (bytes_within _ _ (fun v => among v [i - 1])); [apply (bytes_among (unit_chain n) [i - 1])|].
    intros v Hv. apply live_iff in Hv. cbn [producer unit_chain inputs required] in Hv. apply among_in. left.
    destruct Hv as [Hv [[Hr|[]]|(o & Ho & Hr)]]; [lia|]. rewrite (proj2 (N.ltb_lt _ _)) in Hr by lia.
    destruct (N.eqb_spec o 0); [destruct Hr|]. destruct Hr as [Hr|[]]. lia.
  - intros j _. apply equal_blocks_ascend.
  - intros o _. cbn. lia.
  - intros q Hq. rewrite (bytes_within _ _ (fun v => among v [q; q - 1]));
      [apply (bytes_among (unit_chain n) [q; q - 1])|].
    intros v Hv. apply late_iff in Hv. cbn [producer unit_chain inputs required op_count] in *. apply among_in.
    destruct Hv as [Hv [[Hr|[]]|(Ht & [Hr|(o & Ho & Hr)])]]; [cbn; lia|cbn; lia|].
    destruct (N.ltb_spec o (n + 1)).
    + destruct (N.eqb_spec o 0); [destruct Hr|]. destruct Hr as [Hr|[]]. cbn. lia.
    + destruct (N.eqb_spec o (n + n)); [destruct Hr as [Hr|[]]; cbn; lia|].
      destruct Hr as [Hr|[Hr|[]]]; cbn; lia.
  - intros o _. reflexivity.
Qed.

(** So [n] unit steps in [m] blocks of at most [b]: in m + b + 1 values at most twice the forward steps, as Chen et al.
    (2016) say; and in log m + b + 2 values at most 1 + log m times as many. *)
Corollary unit_chain_checkpointing n b m : 1 <= n -> (1 <= m)%nat -> n <= N.of_nat m * b ->
  (exists s, legal (unit_chain n) s /\ fixed_order s /\ peak (unit_chain n) s <= N.of_nat m + b + 1 /\
             schedule_cost (unit_chain n) s <= 2 * n) /\
  (exists s, legal (unit_chain n) s /\ fixed_order s /\ peak (unit_chain n) s <= N.log2_up (N.of_nat m) + b + 2 /\
             schedule_cost (unit_chain n) s <= (1 + N.log2_up (N.of_nat m)) * n).
Proof.
  intros Hn Hm Hcount. assert (Hg := unit_chain_is_well_formed n Hn).
  assert (Hb := unit_chain_in_blocks n b m Hn Hcount).
  assert (Hw := unit_chain_weighs n b m Hn).
  assert (Hforward : work (unit_chain n) 0 n = n).
  { unfold work. rewrite (total_ext _ (fun _ => 1)).
    - unfold range. rewrite N.sub_0_r. rewrite <- (N2Nat.id n) at 2. generalize (N.to_nat n), 0. clear.
      induction n as [|n IH]; intro first; [reflexivity|]. cbn [count_up total fold_right].
      fold (total (fun _ : N => 1) (count_up n (N.succ first))). rewrite IH. lia.
    - intros o Ho. apply in_range in Ho. cbn. now rewrite (proj2 (N.ltb_lt _ _)) by lia. }
  assert (Hbackward : work (unit_chain n) n (op_count (unit_chain n)) = 0).
  { unfold work. rewrite (total_ext _ (fun _ => 0)); [apply total_zero|].
    intros o Ho. apply in_range in Ho. cbn. now rewrite (proj2 (N.ltb_ge _ _)) by lia. }
  split.
  - destruct (block_checkpointing _ _ _ _ _ _ _ _ _ _ Hg Hm Hb Hw) as (s & L & F & P & C). exists s. split; [auto|].
    split; [auto|]. rewrite Hforward, Hbackward in C. lia.
  - destruct (recursive_checkpointing _ _ _ _ _ _ _ _ _ _ Hg Hm Hb Hw) as (s & L & F & P & C). exists s.
    split; [auto|]. split; [auto|]. rewrite Hforward, Hbackward in C. lia.
Qed.
