(** Forward steps that no schedule of the unit chain avoids: the counting argument. *)

From Coq Require Import List NArith Arith Lia Permutation Bool.
From HcbOpt Require Import PebbleGame BinomialCheckpointing ChainPlans.
Import ListNotations.
Local Arguments longest_chain : simpl never.
Local Arguments Nat.mul : simpl never.

Lemma list_has_maximum (L : list nat) : L <> [] -> exists m, In m L /\ forall y, In y L -> y <= m.
Proof.
  induction L as [|a L IH]; [congruence|]. intros _. destruct L as [|b L].
  - exists a. split; [left; auto|]. intros y [<-|[]]; auto.
  - destruct IH as (m & Hm & Hle); [congruence|].
    exists (Nat.max a m). split.
    + destruct (Nat.max_spec a m) as [[_ ->]|[_ ->]]; [right|left]; auto.
    + intros y [<-|Hy]; [lia|]. specialize (Hle y Hy). lia.
Qed.
Lemma list_has_minimum (L : list nat) : L <> [] -> exists m, In m L /\ forall y, In y L -> m <= y.
Proof.
  induction L as [|a L IH]; [congruence|]. intros _. destruct L as [|b L].
  - exists a. split; [left; auto|]. intros y [<-|[]]; auto.
  - destruct IH as (m & Hm & Hle); [congruence|].
    exists (Nat.min a m). split.
    + destruct (Nat.min_spec a m) as [[_ ->]|[_ ->]]; [left|right]; auto.
    + intros y [<-|Hy]; [lia|]. specialize (Hle y Hy). lia.
Qed.
Lemma filter_split {A} (f : A -> bool) L : length L = length (filter f L) + length (filter (fun x => negb (f x)) L).
Proof. induction L as [|a L IH]; simpl; auto. destruct (f a); simpl; lia. Qed.
Lemma filter_strict {A} (f h : A -> bool) L y : (forall a, f a = true -> h a = true) ->
  In y L -> f y = false -> h y = true -> length (filter f L) < length (filter h L).
Proof.
  intros Hfh. assert (Hle : forall M, length (filter f M) <= length (filter h M)).
  { induction M as [|a M IH]; simpl; auto. destruct (f a) eqn:E; [rewrite (Hfh a E); simpl; lia|].
    destruct (h a); simpl; lia. }
  induction L as [|a L IH]; [intros []|]. intros [->|Hy] H1 H2; simpl.
  - rewrite H1, H2. simpl. specialize (Hle L). lia.
  - specialize (IH Hy H1 H2). destruct (f a) eqn:E; [rewrite (Hfh a E); simpl; lia|].
    destruct (h a); simpl; lia.
Qed.

Lemma step_inv n S x S' : step chain_value_eq (chain n) S x S' ->
  (exists v, x = Compute v /\ S' = v :: S /\ ~ In v S /\ incl (predecessors (chain n) v) S) \/
  (exists v, x = Free v /\ S' = remove chain_value_eq v S).
Proof. destruct 1; [left|right]; eauto 6. Qed.

(** A run of the chain as states [states t] and moves [o t]; [T i] is the instant at which step [i] is reversed. *)
Section Lower.
  Variables (n N p0 : nat) (states : nat -> list chain_value) (o : nat -> move chain_value) (T : nat -> nat).
  Hypothesis Hstep : forall t, t < N -> step chain_value_eq (chain n) (states t) (o t) (states (S t)).
  Hypothesis HT : forall i, i < n -> T i < N /\ In (State i) (states (T i)).
  Hypothesis HTdec : forall i i', i < i' < n -> T i' < T i.

  (** Whether a move computes state [q]; how often that happens in an interval; how many states are held. *)
  Definition computes_state (q : nat) (x : move chain_value) : bool := match x with Compute (State i) => i =? q | _
    => false end.
  Definition runs (q a b : nat) : nat := length (filter (fun t => computes_state q (o t)) (seq a (b - a))).
  Definition is_state_from (lo : nat) (v : chain_value) : bool := match v with State i => lo <=? i | Adjoint _ =>
    false end.
  Definition states_held (lo t : nat) : nat := length (filter (is_state_from lo) (states t)).

  Lemma runs_split q a b c : a <= b <= c -> runs q a c = runs q a b + runs q b c.
  Proof.
    intro H. unfold runs. replace (c - a) with ((b - a) + (c - b)) by lia.
    rewrite seq_app, filter_app, app_length. replace (a + (b - a)) with b by lia. lia.
  Qed.
  Lemma runs_at_least_one q a s b : a <= s < b -> computes_state q (o s) = true -> 1 <= runs q a b.
  Proof.
    intros H E. rewrite (runs_split q a s b), (runs_split q s (S s) b) by lia.
    unfold runs at 2. replace (S s - s) with 1 by lia. simpl. rewrite E. simpl. lia.
  Qed.

  (** A state that appears was computed in between, and its predecessor was held then. *)
  Lemma appears q t t' : t <= t' <= N -> ~ In (State q) (states t) -> In (State q) (states t') ->
    exists s, t <= s < t' /\ computes_state q (o s) = true /\ (q = 0 \/ In (State (q - 1)) (states s)).
  Proof.
    intro H. replace t' with (t + (t' - t)) in * by lia. remember (t' - t) as d eqn:Hd.
    clear Hd t'. induction d as [|d IH]; intros H1 H2; [rewrite Nat.add_0_r in H2; tauto|].
    destruct (in_dec chain_value_eq (State q) (states (t + d))) as [Hi|Hi].
    - destruct IH as (s & ? & ? & ?); auto; [lia|]. exists s; repeat split; auto; lia.
    - exists (t + d). split; [lia|]. assert (Hs := Hstep (t + d) ltac:(lia)).
      replace (t + S d) with (S (t + d)) in H2 by lia.
      apply step_inv in Hs. destruct Hs as [(v & E2 & E3 & Hn & Hp)|(v & E2 & E3)]; rewrite E3 in H2.
      + destruct H2 as [->|H2]; [|tauto].
        rewrite E2. simpl. rewrite Nat.eqb_refl. split; auto.
        destruct q as [|q]; [left; auto|right]. replace (S q - 1) with q by lia.
        apply Hp. simpl. auto.
      + apply in_remove in H2. tauto.
  Qed.

  (** If no state from [x] on is held, and later state [x + d] is, then all states between were computed. *)
  Lemma sweep x d : forall t t', t <= t' <= N -> (forall q, x <= q <= x + d -> ~ In (State q) (states t)) ->
    In (State (x + d)) (states t') -> forall q, x <= q <= x + d -> 1 <= runs q t t'.
  Proof.
    induction d as [|d IH]; intros t t' Ht Hno Hin q Hq.
    - replace q with (x + 0) by lia. destruct (appears (x + 0) t t') as (s & Hs & Hc & _); auto.
      { apply Hno; lia. } eapply runs_at_least_one; eauto.
    - destruct (appears (x + S d) t t') as (s & Hs & Hc & Hp); auto; [apply Hno; lia|].
      destruct (Nat.eq_dec q (x + S d)) as [->|]; [eapply runs_at_least_one; eauto|].
      destruct Hp as [|Hp]; [lia|]. replace (x + S d - 1) with (x + d) in Hp by lia.
      rewrite (runs_split q t s t') by lia.
      enough (1 <= runs q t s) by lia. apply IH; auto; try lia. intros; apply Hno; lia.
  Qed.

  (** No state from [x] to [M] is held. *)
  Definition none_held (x M t : nat) : bool :=
    negb (existsb (fun v => match v with State i => (x <=? i) && (i <=? M) | Adjoint _ => false end) (states t)).
  Lemma none_held_true x M t : none_held x M t = true -> forall q, x <= q <= M -> ~ In (State q) (states t).
  Proof.
    unfold none_held. rewrite negb_true_iff. intros H q Hq Hi.
    enough (existsb (fun v => match v with State i => (x <=? i) && (i <=? M) | Adjoint _ => false end) (states t) =
      true) by congruence.
    apply existsb_exists. exists (State q). split; auto.
    rewrite (proj2 (Nat.leb_le x q)), (proj2 (Nat.leb_le q M)) by lia. auto.
  Qed.
  Lemma none_held_false x M t : none_held x M t = false -> exists q, x <= q <= M /\ In (State q) (states t).
  Proof.
    unfold none_held. rewrite negb_false_iff, existsb_exists. intros ([q|q] & Hi & E); [|discriminate].
    apply andb_prop in E. destruct E as [E1 E2]. apply Nat.leb_le in E1, E2. eauto.
  Qed.

  (** Few states can be computed rarely: of the states that were computed at most [j] times between [t0] and their
      reversal, with at most [p] states held at their reversal, there are fewer than [longest_chain p (j + 1)]. *)
  Theorem counting : forall p j lo t0 X, NoDup X ->
    (forall i, In i X -> lo <= i < n /\ t0 <= T i /\ runs i t0 (T i) <= j /\ states_held lo (T i) <= p) ->
    length X + 1 <= longest_chain p (S j).
  Proof.
    induction p as [|p IHp]; intros j.
    { intros lo t0 X Hn HX. destruct X as [|i X]; [rewrite longest_chain_no_snapshots; simpl; lia|]. exfalso.
      destruct (HX i (or_introl eq_refl)) as (Hi & _ & _ & Hp). destruct (HT i) as (_ & Hin); [lia|].
      unfold states_held in Hp. assert (In (State i) (filter (is_state_from lo) (states (T i)))).
      { apply filter_In. split; auto. simpl. apply Nat.leb_le. lia. }
      destruct (filter (is_state_from lo) (states (T i))); simpl in *; [auto|lia]. }
    induction j as [j IHj] using lt_wf_ind. intros lo t0 X Hn HX.
    destruct X as [|x0 X0] eqn:EX; [pose proof (longest_chain_positive (S p) (S j)); simpl; lia|].
    rewrite <- EX in *. assert (Hne : X <> []) by congruence. clear EX x0 X0.
    destruct (list_has_minimum X Hne) as (x & Hx & Hmin).
    set (Q := fun M => existsb (none_held x M) (seq t0 (S (T M - t0)))).
    (* elements without a none_held are handled with one pebble less *)
    assert (Hhi : forall Y, NoDup Y -> incl Y X -> (forall i, In i Y -> Q i = false) ->
                            length Y <= longest_chain p (S j)).
    { intros Y HnY HYX HQ. destruct Y as [|y0 Y0] eqn:EY; [simpl; lia|]. rewrite <- EY in *.
      destruct (list_has_minimum Y ltac:(congruence)) as (z & Hz & Hzmin). clear EY y0 Y0.
      destruct (HX z (HYX z Hz)) as (Hzn & Hzt & _ & _).
      assert (Hz' : forall i, In i (remove Nat.eq_dec z Y) -> In i Y /\ z < i).
      { intros i [Hi Hne']%in_remove. specialize (Hzmin i Hi). split; auto; lia. }
      assert (Hlen : length Y <= length (remove Nat.eq_dec z Y) + 1).
      { clear - HnY. induction HnY as [|a Y Ha Hn IH]; simpl; [lia|].
        destruct (Nat.eq_dec z a); simpl; [subst; rewrite remove_notin by auto; lia|lia]. }
      enough (length (remove Nat.eq_dec z Y) + 1 <= longest_chain p (S j)) by lia.
      apply (IHp j (S z) t0); [apply remove_NoDup; auto|].
      intros i Hi. destruct (Hz' i Hi) as (HiY & Hlt). destruct (HX i (HYX i HiY)) as (H1 & H2 & H3 & H4).
      repeat split; auto; try lia.
      assert (HTi : T i < T z) by (apply HTdec; lia).
      (* at time T i there is still a pebble in [x,z] *)
      assert (Hq : none_held x z (T i) = false).
      { specialize (HQ z Hz). unfold Q in HQ. destruct (none_held x z (T i)) eqn:E; auto.
        assert (existsb (none_held x z) (seq t0 (S (T z - t0))) = true); [|congruence].
        apply existsb_exists. exists (T i). split; auto. apply in_seq. lia. }
      destruct (none_held_false _ _ _ Hq) as (q & Hqr & Hqi).
      assert (states_held (S z) (T i) < states_held lo (T i)); [|lia].
      apply (filter_strict _ _ _ (State q)); auto.
      - intros [a|a]; unfold is_state_from; auto. rewrite !Nat.leb_le. lia.
      - unfold is_state_from. apply Nat.leb_gt. lia.
      - unfold is_state_from. apply Nat.leb_le. destruct (HX x Hx) as (HHx & _). lia. }
    rewrite longest_chain_step. destruct (filter Q X) as [|m0 XQ] eqn:EQ.
    { assert (length X <= longest_chain p (S j)).
      { apply Hhi; auto using incl_refl. intros i Hi. destruct (Q i) eqn:E; auto.
        assert (Hc : In i (filter Q X)) by (apply filter_In; auto). rewrite EQ in Hc. destruct Hc. }
      pose proof (longest_chain_positive (S p) j). lia. }
    assert (HneQ : filter Q X <> []) by congruence. clear EQ m0 XQ.
    destruct (list_has_maximum _ HneQ) as (M & HM & Hmax). apply filter_In in HM. destruct HM as (HMX & HMQ).
    unfold Q in HMQ. apply existsb_exists in HMQ. destruct HMQ as (t & Ht & Hh). apply in_seq in Ht.
    destruct (HX M HMX) as (HMn & HMt & _ & _). destruct (HT M ltac:(lia)) as (HMN & HMin).
    assert (HxM : x <= M) by (apply Hmin; auto).
    assert (Hsw : forall q, x <= q <= M -> 1 <= runs q t0 (T M)).
    { intros q Hq. rewrite (runs_split q t0 t (T M)) by lia.
      enough (1 <= runs q t (T M)) by lia.
      apply (sweep x (M - x)); try replace (x + (M - x)) with M by lia; auto; try lia.
      apply none_held_true; auto. }
    rewrite (filter_split (fun i => i <=? M) X).
    assert (Hlo : length (filter (fun i => i <=? M) X) + 1 <= longest_chain (S p) j).
    { destruct j as [|j].
      { exfalso. destruct (HX M HMX) as (_ & _ & Hc & _). specialize (Hsw M ltac:(lia)). lia. }
      apply (IHj j ltac:(lia) lo (T M)); [apply NoDup_filter; auto|].
      intros i Hi. apply filter_In in Hi. destruct Hi as (HiX & Hle). apply Nat.leb_le in Hle.
      destruct (HX i HiX) as (H1 & H2 & H3 & H4).
      assert (HTi : T M <= T i).
      { destruct (Nat.eq_dec i M) as [->|]; auto. apply Nat.lt_le_incl, HTdec. lia. }
      repeat split; auto; try lia.
      rewrite (runs_split i t0 (T M) (T i)) in H3 by lia.
      specialize (Hsw i ltac:(split; [apply Hmin; auto|auto])). lia. }
    assert (Hh2 : length (filter (fun i => negb (i <=? M)) X) <= longest_chain p (S j)).
    { apply Hhi; [apply NoDup_filter; auto|intros i Hi; apply filter_In in Hi; tauto|].
      intros i Hi. apply filter_In in Hi. destruct Hi as (HiX & Hgt).
      apply negb_true_iff, Nat.leb_gt in Hgt. destruct (Q i) eqn:E; auto.
      assert (In i (filter Q X)) as Hx2 by (apply filter_In; auto). specialize (Hmax i Hx2). lia. }
    lia.
  Qed.

  Hypothesis Hst0 : states 0 = [].
  Hypothesis Hbud : forall i, i < n -> states_held 0 (T i) <= p0.

  Lemma counting0 j X : NoDup X -> (forall i, In i X -> i < n /\ runs i 0 (T i) <= j) ->
    length X + 1 <= longest_chain p0 j.
  Proof.
    intros Hn HX. destruct X as [|a X0] eqn:E; [pose proof (longest_chain_positive p0 j); simpl; lia|].
    rewrite <- E in *. destruct (list_has_maximum X ltac:(congruence)) as (M & HM & Hmax). clear E a X0.
    destruct (HX M HM) as (HMn & _). destruct (HT M HMn) as (HMN & HMi).
    assert (Hsw : forall i, In i X -> 1 <= runs i 0 (T M)).
    { intros i Hi. specialize (Hmax i Hi).
      apply (sweep i (M - i)); try replace (i + (M - i)) with M by lia; auto; try lia.
      rewrite Hst0. auto. }
    assert (HTi : forall i, In i X -> T M <= T i).
    { intros i Hi. destruct (Nat.eq_dec i M) as [->|]; auto. apply Nat.lt_le_incl, HTdec.
      specialize (Hmax i Hi). lia. }
    destruct j as [|j].
    { destruct (HX M HM) as (_ & Hc). specialize (Hsw M HM). lia. }
    apply (counting p0 j 0 (T M)); auto. intros i Hi. destruct (HX i Hi) as (H1 & H2).
    repeat split; auto; try lia.
    rewrite (runs_split i 0 (T M) (T i)) in H2 by (specialize (HTi i Hi); lia).
    specialize (Hsw i Hi). lia.
  Qed.

  (** How often state [q] is computed until its step is reversed. *)
  Definition e q := runs q 0 (T q).
  Fixpoint sum (f : nat -> nat) (k : nat) : nat := match k with 0 => 0 | S k' => sum f k' + f k' end.

  Lemma layer r k : sum (fun q => Nat.min (e q) (S r)) k + length (filter (fun q => e q <=? r) (seq 0 k))
                  = sum (fun q => Nat.min (e q) r) k + k.
  Proof.
    induction k as [|k IH]; [reflexivity|].
    rewrite seq_S, filter_app, app_length. simpl. destruct (Nat.leb_spec (e k) r); simpl; lia.
  Qed.

  (** The forward steps in all, against the discount of [BinomialCheckpointing.v]. *)
  Theorem advances r : r * (n + 1) <= sum e n + discount p0 r.
  Proof.
    assert (r * (n + 1) <= sum (fun q => Nat.min (e q) r) n + discount p0 r).
    { induction r as [|r IH]; [simpl; lia|].
      assert (Hl := layer r n).
      assert (Hc : length (filter (fun q => e q <=? r) (seq 0 n)) + 1 <= longest_chain p0 r).
      { apply counting0; [apply NoDup_filter, seq_NoDup|]. intros i Hi. apply filter_In in Hi.
        destruct Hi as (Hi & Hle). apply in_seq in Hi. apply Nat.leb_le in Hle. split; [lia|exact Hle]. }
      simpl. simpl in IH. lia. }
    assert (Hmn : forall k, sum (fun q => Nat.min (e q) r) k <= sum e k) by (induction k; simpl; lia).
    specialize (Hmn n). lia.
  Qed.
End Lower.

