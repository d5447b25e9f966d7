(** Block checkpointing: cut the forward pass of a training step into blocks, store the values that cross a boundary,
    and compute the inside of each block again right before its backward, the last block first.

    Chen et al. (2016) do this on a chain of equal steps ([ChainBlocks.v]); here it is any graph of [Model.v] whose
    backward comes block by block, whatever its bytes and workspaces are and however its values skip blocks. *)

From Coq Require Import List Arith NArith Bool Lia Morphisms.
From HcbOpt Require Import Sums Model Residency Walks.
Import ListNotations.
Local Open Scope N_scope.

(** Sums may be estimated summand by summand. *)
#[local] Instance add_estimates : Proper (N.le ==> N.le ==> N.le) N.add.
Proof. intros x y H z u K. now apply N.add_le_mono. Qed.

(** * Training steps in blocks *)

Section Blocks.
  Variable g : graph.

  (** The ops before the turn are the forward pass, the others the backward pass. *)
  Variable turn : N.

  (** Block [j] holds the forward ops from [start j] up to [start (S j)]; its backward are the ops from
      [back (S j)] up to [back j]. *)
  Variables start back : nat -> N.

  (** Whether an op from [first] up to [stop] reads a value. *)
  Definition read_between (first stop v : N) : bool := existsb (fun o => among v (inputs g o)) (range first stop).

  (** The live cut at a forward position: values written before it that a forward op reads from there on, or that the
      step returns. *)
  Definition live (position : N) : state := fun v =>
    (producer g v <? position) && (among v (required g) || read_between position turn v).

  (** What the backward pass itself holds while its op [q] runs: what it has written and still reads, or returns, and
      what the forward pass returns. With [q] the number of ops, what is held in the end. *)
  Definition late (q : N) : state := fun v =>
    (producer g v <=? q) && (among v (required g) ||
                             (turn <=? producer g v) && ((producer g v =? q) || read_between q (op_count g) v)).

  (** The step is cut into [count] blocks: the forward pass in order, the backward pass in reverse. The backward of a
      block reads, of the forward pass, only what the block writes and the live cut at its begin. *)
  Record in_blocks (count : nat) : Prop := {
    starts_at_zero : start 0 = 0;
    starts_end_at_the_turn : start count = turn;
    starts_ascend : forall j, (j < count)%nat -> start j <= start (S j);
    backs_begin_at_the_turn : back count = turn;
    backs_end_at_the_end : back 0 = op_count g;
    backs_descend : forall j, (j < count)%nat -> back (S j) <= back j;
    backward_reads_its_block : forall j q v, (j < count)%nat -> back (S j) <= q < back j -> In v (inputs g q) ->
      turn <= producer g v \/ start j <= producer g v < start (S j) \/ live (start j) v = true
  }.

  (** Bytes: a live cut weighs at most [w]; an op of the forward pass writes at most [s], and a block has at most [b]
      ops; the backward pass itself holds at most [d]; no op needs more than [x] bytes of workspace. *)
  Record weighs (count : nat) (w b s d x : N) : Prop := {
    cuts_weigh : forall i, i <= turn -> bytes g (live i) <= w;
    blocks_are_short : forall j, (j < count)%nat -> start (S j) <= start j + b;
    ops_write : forall o, o < turn -> total (size g) (outputs g o) <= s;
    backward_weighs : forall q, turn <= q <= op_count g -> bytes g (late q) <= d;
    workspaces_weigh : forall o, o < op_count g -> workspace g o <= x
  }.

  (** * Plans *)

  (** A plan reverses some blocks in a row, given the live cut at their begin. One block: run it, keep everything, run
      its backward. More: run those of [before], store the live cut there, reverse those of [after], drop that
      cut, and reverse those of [before]. *)
  Inductive plan := Block | Split (before after : plan).

  Fixpoint blocks (p : plan) : nat := match p with Block => 1 | Split before after => blocks before + blocks after end.

  (** Most live cuts that are stored at once. *)
  Fixpoint stored (p : plan) : nat :=
    match p with Block => O | Split before after => Nat.max (stored before) (S (stored after)) end.

  (** How often a forward op runs again, at most. *)
  Fixpoint repeats (p : plan) : nat :=
    match p with Block => O | Split before after => Nat.max (S (repeats before)) (repeats after) end.

  Lemma some_block p : (1 <= blocks p)%nat.
  Proof. induction p; simpl; lia. Qed.

  (** ** Facts about live cuts *)

  Lemma turn_exists_in_blocks count : in_blocks count -> turn <= op_count g.
  Proof.
    intro H. rewrite <- (backs_begin_at_the_turn count H), <- (backs_end_at_the_end count H).
    assert (Hback := backs_descend count H). clear H.
    induction count as [|count IH]; [lia|]. assert (H := Hback count ltac:(lia)).
    specialize (IH (fun j Hj => Hback j ltac:(lia))). lia.
  Qed.

  Hypothesis graph_is_well_formed : well_formed g.
  Hypothesis turn_exists : turn <= op_count g.

  Lemma read_between_iff first stop v :
    read_between first stop v = true <-> exists o, first <= o < stop /\ In v (inputs g o).
  Proof.
    unfold read_between. rewrite existsb_exists. split; intros (o & Ho & Hv); exists o.
    - rewrite in_range in Ho. rewrite among_in in Hv. auto.
    - rewrite in_range, among_in. auto.
  Qed.

  Lemma live_iff i v : live i v = true <->
    producer g v < i /\ (In v (required g) \/ exists o, i <= o < turn /\ In v (inputs g o)).
  Proof. unfold live. now rewrite andb_true_iff, N.ltb_lt, orb_true_iff, among_in, read_between_iff. Qed.

  Lemma late_iff q v : late q v = true <->
    producer g v <= q /\ (In v (required g) \/
      turn <= producer g v /\ (producer g v = q \/ exists o, q <= o < op_count g /\ In v (inputs g o))).
  Proof.
    unfold late. now rewrite andb_true_iff, N.leb_le, orb_true_iff, among_in, andb_true_iff, N.leb_le, orb_true_iff,
      N.eqb_eq, read_between_iff.
  Qed.

  (** What is held between the backward ops before [q] and the others. *)
  Definition between (q : N) : state := fun v => (producer g v <? q) && late q v.

  Lemma between_late q : within (between q) (late q).
  Proof. intros v Hv. apply andb_true_iff in Hv. tauto. Qed.

  (** The inside of a block, as far as it has been run. *)
  Definition inside (first stop : N) : state := fun v =>
    (first <=? producer g v) && (producer g v <? stop) && (v <? value_count g).

  Lemma inside_iff first stop v : inside first stop v = true <-> first <= producer g v < stop /\ v < value_count g.
  Proof. unfold inside. now rewrite !andb_true_iff, N.leb_le, !N.ltb_lt. Qed.

  Lemma written_iff o v : written g o v = true <-> In v (outputs g o).
  Proof. unfold written. now rewrite among_in. Qed.

  Lemma is_written v : v < value_count g -> In v (outputs g (producer g v)) /\ producer g v < op_count g.
  Proof. intro H. destruct (values_are_written g graph_is_well_formed v H). auto. Qed.

  Lemma bytes_inside s first stop : (forall o, o < turn -> total (size g) (outputs g o) <= s) ->
    first <= stop <= turn -> bytes g (inside first stop) <= (stop - first) * s.
  Proof.
    intros Hs Hstop. remember (N.to_nat (stop - first)) as count eqn:E. revert stop E Hstop.
    induction count as [|count IH]; intros stop E Hstop.
    - replace stop with first in * by lia. transitivity (bytes g nothing_resident); [|rewrite bytes_nothing; lia].
      apply bytes_within. intros v Hv. apply inside_iff in Hv. lia.
    - transitivity (bytes g (either (inside first (N.pred stop)) (written g (N.pred stop)))).
      + apply bytes_within. intros v Hv. apply inside_iff in Hv. unfold either. apply orb_true_iff.
        destruct (N.eq_dec (producer g v) (N.pred stop)) as [He|He]; [right|left; apply inside_iff; lia].
        apply written_iff. rewrite <- He. apply is_written. tauto.
      + rewrite bytes_either, (bytes_among g (outputs g (N.pred stop))). rewrite (IH (N.pred stop)) by lia.
        rewrite (Hs (N.pred stop)) by lia. nia.
  Qed.

  (** What is live after an op was live before it, or the op writes it. *)
  Lemma live_next i : i < turn -> within (live (N.succ i)) (either (live i) (written g i)).
  Proof.
    intros Hi v Hv. apply live_iff in Hv. destruct Hv as [Hp Hv]. unfold either. apply orb_true_iff.
    assert (Hexists : v < value_count g).
    { destruct Hv as [Hv|(o & Ho & Hv)]; [now apply (required_exist g graph_is_well_formed)|].
      apply (inputs_come_before g graph_is_well_formed o v); auto. lia. }
    destruct (N.eq_dec (producer g v) i) as [He|He].
    - right. apply written_iff. rewrite <- He. now apply is_written.
    - left. apply live_iff. split; [lia|]. destruct Hv as [Hv|(o & Ho & Hv)]; auto. right. exists o. split; auto. lia.
  Qed.

  Lemma between_next q : turn <= q < op_count g -> within (between (N.succ q)) (either (between q) (written g q)).
  Proof.
    intros Hq v Hv. apply andb_true_iff in Hv. destruct Hv as [Hp Hv]. apply N.ltb_lt in Hp.
    apply late_iff in Hv. destruct Hv as [_ Hv]. unfold either. apply orb_true_iff.
    assert (Hexists : v < value_count g).
    { destruct Hv as [Hv|(Ht & [He|(o & Ho & Hv)])]; [now apply (required_exist g graph_is_well_formed)|lia|].
      apply (inputs_come_before g graph_is_well_formed o v); auto. lia. }
    destruct (N.eq_dec (producer g v) q) as [He|He].
    - right. apply written_iff. rewrite <- He. now apply is_written.
    - left. apply andb_true_iff. split; [apply N.ltb_lt; lia|]. apply late_iff. split; [lia|].
      destruct Hv as [Hv|(Ht & [Hv|(o & Ho & Hv)])]; [auto|lia|]. right. split; auto. right. exists o. split; auto. lia.
  Qed.

  (** * Plans as schedules *)

  Variable count : nat.
  Hypothesis step_in_blocks : in_blocks count.
  Variables w b s d x : N.
  Hypothesis step_weighs : weighs count w b s d x.
  Variable stores : nat.

  (** The limit that [stores] cuts need. *)
  Definition room : N := N.of_nat stores * w + b * s + d + x.

  Notation walk := (walk g room).

  Lemma starts_monotone i j : (i <= j <= count)%nat -> start i <= start j.
  Proof.
    intros [Hij Hj]. induction Hij as [|j Hij IH]; [lia|].
    assert (H := starts_ascend count step_in_blocks j ltac:(lia)). lia.
  Qed.

  Lemma backs_monotone i j : (i <= j <= count)%nat -> back j <= back i.
  Proof.
    intros [Hij Hj]. induction Hij as [|j Hij IH]; [lia|].
    assert (H := backs_descend count step_in_blocks j ltac:(lia)). lia.
  Qed.

  Lemma starts_before_turn j : (j <= count)%nat -> start j <= turn.
  Proof. intro H. rewrite <- (starts_end_at_the_turn count step_in_blocks). apply starts_monotone. lia. Qed.

  Lemma backs_after_turn j : (j <= count)%nat -> turn <= back j <= op_count g.
  Proof.
    intro H. rewrite <- (backs_begin_at_the_turn count step_in_blocks) at 1.
    rewrite <- (backs_end_at_the_end count step_in_blocks). split; apply backs_monotone; lia.
  Qed.

  (** What the backward pass holds before it comes to the blocks before [last]: nothing if it has not begun. *)
  Definition ready (last : nat) : state := fun v => (last <? count)%nat && between (back last) v.

  Lemma bytes_ready last : (last <= count)%nat -> bytes g (ready last) <= d.
  Proof.
    intro H. rewrite <- (backward_weighs count w b s d x step_weighs (back last)) by now apply backs_after_turn.
    apply bytes_within. intros v Hv. apply between_late. apply andb_true_iff in Hv. tauto.
  Qed.

  Ltac in_either := unfold either; rewrite ?orb_true_iff.

  (** Running some blocks, keeping what is held and, in the end, the live cut. *)
  Lemma advance held first middle last r front : (first <= middle)%nat -> (middle <= last)%nat -> (last <= count)%nat ->
    bytes g (either held (live (start first))) <= N.of_nat r * w -> (S r <= stores)%nat -> start first <= front ->
    walk (either (either held (live (start first))) (ready last)) front (work g (start first) (start middle))
         (either (either (either held (live (start first))) (live (start middle))) (ready last))
         (N.max front (start middle)).
  Proof.
    intros H1 H2 H3 Hheld Hr Hfront. set (kept := either held (live (start first))) in *.
    assert (M1 := starts_monotone first middle ltac:(lia)). assert (M2 := starts_before_turn middle ltac:(lia)).
    replace (work g (start first) (start middle)) with (0 + work g (start first) (start middle)) by lia.
    eapply walk_on with (there := either (either kept (live (start first))) (ready last)).
    { apply walk_drop; auto. intros v. unfold kept. in_either. tauto. }
    apply (sweep g graph_is_well_formed room (fun i => either (either kept (live i)) (ready last))); auto; try lia.
    - intros i v Hi Hv. in_either. left. right. apply live_iff.
      destruct (inputs_come_before g graph_is_well_formed i v ltac:(lia) Hv). split; auto. right. exists i.
      split; auto. lia.
    - intros i Hi v. in_either. intros [[Hv|Hv]|Hv]; auto. assert (Hn := live_next i ltac:(lia) v Hv).
      unfold either in Hn. apply orb_true_iff in Hn. tauto.
    - intros i Hi. rewrite !bytes_either, (bytes_among g (outputs g i)). rewrite Hheld.
      rewrite (cuts_weigh count w b s d x step_weighs i) by lia. rewrite (bytes_ready last H3).
      rewrite (ops_write count w b s d x step_weighs i) by lia.
      rewrite (workspaces_weigh count w b s d x step_weighs i) by lia. unfold room.
      assert (Hb : 1 <= b); [|nia].
      (* some block holds op i *)
      apply N.lt_pred_le. apply N.nle_gt. intro Hb.
      assert (Hall : forall j, (j <= count)%nat -> start j = 0).
      { induction j as [|j IH]; intro Hj; [apply (starts_at_zero count step_in_blocks)|].
        assert (Hs := blocks_are_short count w b s d x step_weighs j ltac:(lia)). rewrite IH in Hs by lia. lia. }
      rewrite (Hall middle) in Hi by lia. lia.
  Qed.

  (** One block: its forward with everything kept, then its backward. *)
  Lemma one_block held j r front : (j < count)%nat ->
    bytes g (either held (live (start j))) <= N.of_nat r * w -> (r <= stores)%nat ->
    start j <= front -> ((S j < count)%nat -> back (S j) <= front) ->
    walk (either (either held (live (start j))) (ready (S j))) front
         (work g (start j) (start (S j)) + work g (back (S j)) (back j))
         (either held (between (back j))) (N.max front (back j)).
  Proof.
    intros Hj Hheld Hr Hfront Hback. set (kept := either held (live (start j))) in *.
    assert (M1 := starts_ascend count step_in_blocks j Hj). assert (M2 := starts_before_turn (S j) Hj).
    assert (M3 := backs_descend count step_in_blocks j Hj). assert (M4 := backs_after_turn (S j) Hj).
    assert (M5 := backs_after_turn j ltac:(lia)).
    assert (Hshort := blocks_are_short count w b s d x step_weighs j Hj).
    assert (Hinside : forall i, start j <= i <= start (S j) -> bytes g (inside (start j) i) <= b * s).
    { intros i Hi. rewrite (bytes_inside s) by (try lia; apply (ops_write count w b s d x step_weighs)).
      apply N.mul_le_mono_r. lia. }
    assert (Hend : turn <= N.max front (start (S j)) /\ back (S j) <= N.max front (start (S j))).
    { destruct (Nat.eq_dec (S j) count) as [E|E].
      - rewrite E, (starts_end_at_the_turn count step_in_blocks), (backs_begin_at_the_turn count step_in_blocks). lia.
      - specialize (Hback ltac:(lia)). lia. }
    replace (work g (start j) (start (S j)) + work g (back (S j)) (back j)) with
      (0 + (work g (start j) (start (S j)) + (0 + (work g (back (S j)) (back j) + 0)))) by lia.
    eapply walk_on with (there := either (either kept (ready (S j))) (inside (start j) (start j))).
    { apply walk_drop; auto. intros v Hv. in_either. unfold either in Hv. rewrite !orb_true_iff, inside_iff in Hv.
      destruct Hv as [Hv|Hv]; [tauto|lia]. }
    eapply walk_on.
    { apply (sweep g graph_is_well_formed room (fun i => either (either kept (ready (S j))) (inside (start j) i))
               (start j) (start (S j)) front); auto; try lia.
      - intros i v Hi Hv. in_either. destruct (inputs_come_before g graph_is_well_formed i v ltac:(lia) Hv).
        destruct (N.le_gt_cases (start j) (producer g v)); [right; apply inside_iff; lia|].
        left. left. unfold kept. in_either. right. apply live_iff. split; auto. right. exists i. split; auto. lia.
      - intros i Hi v. in_either. intros [[Hv|Hv]|Hv]; auto. apply inside_iff in Hv.
        destruct (N.eq_dec (producer g v) i) as [He|He]; [|left; right; apply inside_iff; lia].
        right. apply written_iff. rewrite <- He. now apply is_written.
      - intros i Hi.
        transitivity (bytes g (either (either kept (ready (S j))) (inside (start j) (N.succ i))) + workspace g i).
        + apply N.add_le_mono_r, bytes_within. intros v. in_either. intros [[Hv|Hv]|Hv]; auto.
          * right. apply inside_iff. apply inside_iff in Hv. lia.
          * apply written_iff in Hv. right. apply inside_iff.
            destruct (outputs_name_their_producer g graph_is_well_formed i v ltac:(lia) Hv). lia.
        + rewrite !bytes_either by auto. rewrite Hheld, (bytes_ready (S j) Hj), Hinside by lia.
          rewrite (workspaces_weigh count w b s d x step_weighs i) by lia. unfold room. nia. }
    eapply walk_on with (there := either (either kept (inside (start j) (start (S j)))) (between (back (S j)))).
    { apply walk_drop; auto. intros v. in_either. intros [[Hv|Hv]|Hv]; auto.
      destruct (Nat.eq_dec (S j) count) as [E|E].
      - (* of the backward pass there is nothing yet; what the forward pass returns is in the block or live *)
        apply andb_true_iff in Hv. destruct Hv as [Hp Hv]. apply N.ltb_lt in Hp. apply late_iff in Hv.
        rewrite E in Hp. rewrite (backs_begin_at_the_turn count step_in_blocks) in Hp.
        destruct Hv as [_ [Hv|Hv]]; [|lia].
        destruct (N.le_gt_cases (start j) (producer g v)) as [Hs|Hs].
        + right. apply inside_iff. rewrite E, (starts_end_at_the_turn count step_in_blocks).
          split; [lia|now apply (required_exist g graph_is_well_formed)].
        + left. left. unfold kept. in_either. right. apply live_iff. auto.
      - left. right. unfold ready. apply andb_true_iff. split; [apply Nat.ltb_lt; lia|auto]. }
    eapply walk_on.
    { apply (sweep g graph_is_well_formed room
               (fun q => either (either kept (inside (start j) (start (S j)))) (between q)) (back (S j)) (back j)
               (N.max front (start (S j)))); auto; try lia.
      - intros q v Hq Hv. in_either. destruct (inputs_come_before g graph_is_well_formed q v ltac:(lia) Hv) as [He Hp].
        destruct (backward_reads_its_block count step_in_blocks j q v Hj Hq Hv) as [Hv'|[Hv'|Hv']].
        + right. apply andb_true_iff. split; [now apply N.ltb_lt|]. apply late_iff. split; [lia|]. right. split; auto.
          right. exists q. split; auto. lia.
        + left. right. apply inside_iff. auto.
        + left. left. unfold kept. in_either. auto.
      - intros q Hq v. in_either. intros [[Hv|Hv]|Hv]; auto. assert (Hn := between_next q ltac:(lia) v Hv).
        unfold either in Hn. apply orb_true_iff in Hn. tauto.
      - intros q Hq.
        transitivity (bytes g (either (either kept (inside (start j) (start (S j)))) (late q)) + workspace g q).
        + apply N.add_le_mono_r, bytes_within. intros v. in_either. intros [[Hv|Hv]|Hv]; auto.
          * right. now apply between_late.
          * apply written_iff in Hv. right. apply late_iff.
            destruct (outputs_name_their_producer g graph_is_well_formed q v ltac:(lia) Hv). split; [lia|]. right. lia.
        + rewrite !bytes_either by auto. rewrite Hheld, Hinside by lia.
          rewrite (backward_weighs count w b s d x step_weighs q) by lia.
          rewrite (workspaces_weigh count w b s d x step_weighs q) by lia. unfold room. nia. }
    eapply walk_weaken; [apply walk_drop; auto|lia|lia].
    intros v. unfold kept. in_either. tauto.
  Qed.

  (** A plan for the blocks from [first] on, given the live cut at their begin. *)
  Lemma plan_walks p : forall held first r front, (first + blocks p <= count)%nat ->
    bytes g (either held (live (start first))) <= N.of_nat r * w -> (r + stored p <= stores)%nat ->
    start first <= front -> ((first + blocks p < count)%nat -> back (first + blocks p)%nat <= front) ->
    walk (either (either held (live (start first))) (ready (first + blocks p))) front
         (N.of_nat (S (repeats p)) * work g (start first) (start (first + blocks p)) +
          work g (back (first + blocks p)%nat) (back first))
         (either held (between (back first))) (N.max front (back first)).
  Proof.
    induction p as [|before IHbefore after IHafter]; intros held first r front Hlast Hheld Hr Hfront Hback.
    - cbn [blocks repeats stored] in *. rewrite Nat.add_1_r in *.
      eapply walk_weaken; [apply (one_block held first r front)|lia|lia]; auto; lia.
    - cbn [blocks repeats stored] in *. assert (P1 := some_block before). assert (P2 := some_block after).
      set (middle := (first + blocks before)%nat) in *.
      assert (El : (first + (blocks before + blocks after) = middle + blocks after)%nat) by (unfold middle; lia).
      rewrite El in *. set (last := (middle + blocks after)%nat) in *.
      assert (M1 := starts_monotone first middle ltac:(lia)). assert (M2 := starts_monotone middle last ltac:(lia)).
      assert (M3 := backs_monotone first middle ltac:(lia)). assert (M4 := backs_monotone middle last ltac:(lia)).
      assert (M5 := starts_before_turn middle ltac:(lia)). assert (M6 := backs_after_turn middle ltac:(lia)).
      eapply walk_weaken with
        (price := work g (start first) (start middle) +
                  ((N.of_nat (S (repeats after)) * work g (start middle) (start last) +
                    work g (back last) (back middle)) +
                   (N.of_nat (S (repeats before)) * work g (start first) (start middle) +
                    work g (back middle) (back first)))).
      + eapply walk_on; [apply (advance held first middle last r front); auto; lia|].
        eapply walk_on.
        * apply (IHafter (either held (live (start first))) middle (S r)); fold last; auto; try lia.
          rewrite bytes_either by auto. rewrite Hheld.
          rewrite (cuts_weigh count w b s d x step_weighs) by lia. lia.
        * replace (either (either held (live (start first))) (between (back middle)))
            with (either (either held (live (start first))) (fun v => true && between (back middle) v)) by reflexivity.
          assert (Hm : (middle <? count)%nat = true) by (apply Nat.ltb_lt; lia).
          rewrite <- Hm. apply (IHbefore held first r); auto; fold middle; try lia.
      + rewrite (work_add g (start first) (start middle) (start last)) by lia.
        rewrite (work_add g (back last) (back middle) (back first)) by lia.
        set (one := work g (start first) (start middle)). set (two := work g (start middle) (start last)).
        assert (N.of_nat (S (repeats after)) * two <= N.of_nat (S (Nat.max (S (repeats before)) (repeats after))) * two)
          by (apply N.mul_le_mono_r; lia).
        assert (N.of_nat (S (S (repeats before))) * one <=
                N.of_nat (S (Nat.max (S (repeats before)) (repeats after))) * one) by (apply N.mul_le_mono_r; lia).
        lia.
      + lia.
  Qed.

  (** The whole step. *)
  Lemma plan_is_schedule p : blocks p = count -> (stored p <= stores)%nat ->
    exists sched, legal g sched /\ fixed_order sched /\ peak g sched <= room /\
      schedule_cost g sched <= N.of_nat (S (repeats p)) * work g 0 turn + work g turn (op_count g).
  Proof.
    intros Hp Hstores.
    assert (Hempty : forall v, live (start 0) v = false).
    { intro v. destruct (live (start 0) v) eqn:E; auto. apply live_iff in E.
      rewrite (starts_at_zero count step_in_blocks) in E. lia. }
    assert (Hwalk := plan_walks p nothing_resident 0 0 0). cbn [Nat.add] in Hwalk. rewrite Hp in Hwalk.
    rewrite (starts_end_at_the_turn count step_in_blocks), (backs_begin_at_the_turn count step_in_blocks),
      (backs_end_at_the_end count step_in_blocks) in Hwalk.
    destruct Hwalk with (played := @nil action) as (sched & [Q1 Q2 Q3 Q4 Q5] & C); auto; try lia.
    - transitivity (bytes g nothing_resident); [|rewrite bytes_nothing; lia].
      apply bytes_within. intros v. in_either. rewrite Hempty. intros [Hv|Hv]; discriminate.
    - rewrite (starts_at_zero count step_in_blocks). lia.
    - constructor.
      + intros t a Ha. destruct t; discriminate.
      + intros t o Ho. destruct t; discriminate.
      + cbn. lia.
      + intros p0 H0. lia.
      + intro v. unfold either, ready. rewrite Hempty, Nat.ltb_irrefl. reflexivity.
    - rewrite (starts_at_zero count step_in_blocks) in C. cbn [app] in *. exists sched. split; [|split; [|split]]; auto.
      + constructor; auto.
        * intros o Ho. apply Q4. lia.
        * intros v Hv. rewrite Q5. in_either. right. apply andb_true_iff.
          assert (Hexists := required_exist g graph_is_well_formed v Hv).
          assert (Hw := proj2 (is_written v Hexists)). split; [now apply N.ltb_lt|]. apply late_iff. split; [lia|auto].
  Qed.
End Blocks.

(** * The two classical plans *)

(** Store every cut on the way: each block begins a new split. *)
Fixpoint store_every_cut (further : nat) : plan :=
  match further with O => Block | S fewer => Split Block (store_every_cut fewer) end.

Lemma blocks_store_every_cut further : blocks (store_every_cut further) = S further.
Proof. induction further as [|n IH]; cbn; auto. Qed.

Lemma stored_store_every_cut further : stored (store_every_cut further) = further.
Proof. induction further as [|n IH]; cbn; auto. Qed.

Lemma repeats_store_every_cut further : (repeats (store_every_cut further) <= 1)%nat.
Proof. induction further as [|n IH]; cbn [store_every_cut repeats]; lia. Qed.

(** Halve again and again. *)
Lemma halving levels : forall count, (1 <= count <= 2 ^ levels)%nat ->
  exists p, blocks p = count /\ (stored p <= levels)%nat /\ (repeats p <= levels)%nat.
Proof.
  induction levels as [|levels IH]; intros count Hcount.
  - exists Block. cbn in *. lia.
  - destruct (Nat.eq_dec count 1) as [->|Hne]; [exists Block; cbn; lia|].
    assert (Hhalf := Nat.div_mod count 2 ltac:(lia)). assert (Hmod := Nat.mod_upper_bound count 2 ltac:(lia)).
    cbn [Nat.pow] in Hcount.
    destruct (IH (count / 2)%nat ltac:(lia)) as (p & P1 & P2 & P3).
    destruct (IH (count - count / 2)%nat ltac:(lia)) as (q & Q1 & Q2 & Q3).
    exists (Split p q). cbn [blocks stored repeats]. lia.
Qed.

(** ** The theorems

    [g] is a training step whose first [turn] ops are its forward pass. It is cut into [count] blocks; weights are as in
    [weighs]: [w] a live cut, [s] what one forward op writes, [b] the ops of a block, [d] what the backward pass
    itself holds, [x] a workspace. Where gradients mirror the values they belong to, [d] is at most [2 w]; without
    workspace the peaks are then those of the classical statements. *)

(** One level: every cut is stored. The forward work is at most doubled; backward ops run once. *)
Theorem block_checkpointing g turn start back count w b s d x :
  well_formed g -> (1 <= count)%nat ->
  in_blocks g turn start back count -> weighs g turn start count w b s d x ->
  exists schedule, legal g schedule /\ fixed_order schedule /\
    peak g schedule <= w * (N.of_nat count - 1) + b * s + d + x /\
    schedule_cost g schedule <= 2 * work g 0 turn + work g turn (op_count g).
Proof.
  intros Hg Hcount Hblocks Hweighs. assert (Hturn := turn_exists_in_blocks _ _ _ _ _ Hblocks).
  destruct (plan_is_schedule g turn start back Hg Hturn count Hblocks w b s d x Hweighs (count - 1)
              (store_every_cut (count - 1))) as (sched & L & F & P & C).
  - rewrite blocks_store_every_cut. lia.
  - rewrite stored_store_every_cut. lia.
  - exists sched. split; [auto|split; [auto|split]].
    + unfold room in P. replace (N.of_nat (count - 1)) with (N.of_nat count - 1) in P by lia. lia.
    + assert (H := repeats_store_every_cut (count - 1)).
      assert (N.of_nat (S (repeats (store_every_cut (count - 1)))) * work g 0 turn <= 2 * work g 0 turn)
        by (apply N.mul_le_mono_r; lia). lia.
Qed.

(** Recursive: the blocks are halved again and again. [levels] is the logarithm of their number, to base 2 and rounded
    up; as many cuts are stored at once, and so many times the forward work is added at most. *)
Theorem recursive_checkpointing g turn start back count w b s d x :
  well_formed g -> (1 <= count)%nat ->
  in_blocks g turn start back count -> weighs g turn start count w b s d x ->
  let levels := N.log2_up (N.of_nat count) in
  exists schedule, legal g schedule /\ fixed_order schedule /\
    peak g schedule <= w * levels + b * s + d + x /\
    schedule_cost g schedule <= (1 + levels) * work g 0 turn + work g turn (op_count g).
Proof.
  intros Hg Hcount Hblocks Hweighs levels. assert (Hturn := turn_exists_in_blocks _ _ _ _ _ Hblocks).
  assert (Hpower : (count <= 2 ^ N.to_nat levels)%nat).
  { assert (H := N.log2_up_spec (N.of_nat count)). destruct (N.eq_dec (N.of_nat count) 1) as [E|E].
    - assert (count = 1)%nat by lia. subst. cbn. lia.
    - destruct (H ltac:(lia)) as [_ Hle]. fold levels in Hle.
      assert (Hn : N.of_nat (2 ^ N.to_nat levels) = 2 ^ levels).
      { rewrite <- (N2Nat.id levels) at 2. clear. induction (N.to_nat levels) as [|n IH]; [reflexivity|].
        cbn [Nat.pow]. rewrite Nat2N.inj_succ, N.pow_succ_r', <- IH. lia. }
      lia. }
  destruct (halving (N.to_nat levels) count ltac:(lia)) as (p & Hp & Hstored & Hrepeats).
  destruct (plan_is_schedule g turn start back Hg Hturn count Hblocks w b s d x Hweighs (N.to_nat levels) p Hp Hstored)
    as (sched & L & F & P & C).
  exists sched. split; [auto|split; [auto|split]].
  - unfold room in P. rewrite N2Nat.id in P. lia.
  - assert (N.of_nat (S (repeats p)) * work g 0 turn <= (1 + levels) * work g 0 turn) by (apply N.mul_le_mono_r; lia).
    lia.
Qed.
