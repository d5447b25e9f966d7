(** A part of a graph, as a graph of its own: leaving out ops and values never makes a legal schedule illegal, nor
    larger,
    nor dearer. *)

From Coq Require Import List Arith NArith Bool Lia.
From HcbOpt Require Import Sums Model Residency Appending.
Import ListNotations.
Local Open Scope N_scope.

Section Simulation.
  (** [whole] is a graph and [part] another. [image] tells which op of the part, if any, an op of the whole is;
      [value_image] the same of values; [origin] tells which value of the whole a value of the part is. *)
  Variables whole part : graph.
  Variable image value_image : N -> option N.
  Variable origin : N -> N.

  Record is_part_of : Prop := {
    part_is_well_formed : well_formed part;
    whole_is_well_formed : well_formed whole;
    image_exists : forall o p, o < op_count whole -> image o = Some p -> p < op_count part;
    image_of_value : forall u v, value_image u = Some v <-> v < value_count part /\ origin v = u;
    origin_exists : forall v, v < value_count part -> origin v < value_count whole;
    image_reads_less : forall o p v, o < op_count whole -> image o = Some p ->
      In v (inputs part p) -> In (origin v) (inputs whole o);
    image_writes_the_same : forall o p v, o < op_count whole -> image o = Some p -> v < value_count part ->
      (In v (outputs part p) <-> In (origin v) (outputs whole o));
    left_out_writes_nothing : forall o v, o < op_count whole -> image o = None -> v < value_count part ->
      ~ In (origin v) (outputs whole o);
    image_is_no_larger : forall v, v < value_count part -> size part v <= size whole (origin v);
    image_needs_no_more : forall o p, image o = Some p -> workspace part p <= workspace whole o;
    image_is_no_dearer : forall o p, image o = Some p -> cost part p <= cost whole o
  }.

  Hypothesis H : is_part_of.

  (** The schedule of the part: its own actions, in their order. *)
  Definition image_of_action (a : action) : schedule :=
    match a with
    | Compute o => match image o with Some p => [Compute p] | None => [] end
    | Drop u => match value_image u with Some v => [Drop v] | None => [] end
    end.

  Definition image_of (s : schedule) : schedule := flat_map image_of_action s.

  (** States tell the same of the part's values. *)
  Definition seen_alike (in_part in_whole : state) : Prop :=
    forall v, v < value_count part -> in_part v = in_whole (origin v).

  Lemma origin_injective u v : u < value_count part -> v < value_count part -> origin u = origin v -> u = v.
  Proof.
    intros Hu Hv E. assert (A := proj2 (image_of_value H (origin u) u) (conj Hu eq_refl)).
    assert (B := proj2 (image_of_value H (origin u) v) (conj Hv (eq_sym E))). congruence.
  Qed.

  Lemma bytes_of_image in_part in_whole : seen_alike in_part in_whole -> bytes part in_part <= bytes whole in_whole.
  Proof.
    intro A. unfold bytes at 1.
    transitivity (total (fun u => if in_whole u then size whole u else 0) (map origin (values part))).
    - rewrite total_map. apply total_le. intros v Hv. apply in_below in Hv. rewrite <- (A v Hv).
      destruct (in_part v); [|lia]. now apply (image_is_no_larger H).
    - apply bytes_of_some.
      + assert (Hd : NoDup (values part)) by apply distinct_below.
        assert (He : forall v, In v (values part) -> v < value_count part) by (intros v Hv; now apply in_below).
        induction Hd as [|v vs Hv Hd IH]; cbn [map]; constructor.
        * intro Hi. apply in_map_iff in Hi. destruct Hi as (u & Eu & Hu). apply origin_injective in Eu.
          -- subst. auto.
          -- apply He. right; auto.
          -- apply He. left; auto.
        * apply IH. intros u Hu. apply He. right; auto.
      + intros u Hu. apply in_map_iff in Hu. destruct Hu as (v & <- & Hv). apply in_below in Hv.
        now apply (origin_exists H).
  Qed.

  Lemma bool_eq (a b : bool) : (a = true <-> b = true) -> a = b.
  Proof. destruct a, b; intuition congruence. Qed.

  Lemma among_outputs_of_image o p v : o < op_count whole -> image o = Some p -> v < value_count part ->
    among v (outputs part p) = among (origin v) (outputs whole o).
  Proof. intros Ho Hp Hv. apply bool_eq. rewrite !among_in. now apply (image_writes_the_same H). Qed.

  (** One action of the whole. *)
  Lemma image_follows played s a : every_action_allowed part played -> every_action_allowed whole s ->
    seen_alike (state_after part played) (state_after whole s) -> peak part played <= peak whole s ->
    allowed whole (state_after whole s) a ->
    every_action_allowed part (played ++ image_of_action a) /\
    seen_alike (state_after part (played ++ image_of_action a)) (state_after whole (s ++ [a])) /\
    peak part (played ++ image_of_action a) <= peak whole (s ++ [a]).
  Proof.
    intros Hp Hs A P Ha. rewrite (peak_snoc whole), !(state_after_snoc whole).
    destruct a as [o|u]; cbn [image_of_action].
    - destruct Ha as [Ho Hin]. destruct (image o) as [p|] eqn:Ep.
      + assert (Hok : allowed part (state_after part played) (Compute p)).
        { split; [now apply (image_exists H o)|]. intros v Hv.
          assert (Hpc := image_exists H o p Ho Ep).
          destruct (inputs_come_before part (part_is_well_formed H) p v Hpc Hv) as [Hvc _].
          rewrite (A v Hvc). apply Hin. now apply (image_reads_less H o p). }
        assert (A' : seen_alike (state_after part (played ++ [Compute p]))
                                (after whole (state_after whole s) (Compute o))).
        { intros v Hv. rewrite state_after_snoc. cbn [after]. rewrite (A v Hv).
          now rewrite (among_outputs_of_image o p v Ho Ep Hv). }
        split; [now apply allowed_snoc|split; [auto|]]. rewrite peak_snoc.
        assert (Hb := bytes_of_image _ _ A').
        assert (Hw := image_needs_no_more H o p Ep). lia.
      + rewrite app_nil_r. split; [auto|split; [|lia]]. intros v Hv. cbn [after]. rewrite (A v Hv).
        rewrite (proj2 (among_not_in _ _)); auto. now apply (left_out_writes_nothing H).
    - destruct Ha as [Hu Hres]. destruct (value_image u) as [v|] eqn:Ev.
      + apply (image_of_value H) in Ev. destruct Ev as [Hv <-].
        split; [apply allowed_snoc; auto; split; [auto|now rewrite (A v Hv)]|split].
        * intros w Hw. rewrite state_after_snoc. cbn [after]. rewrite (A w Hw). f_equal. f_equal.
          apply bool_eq. rewrite !N.eqb_eq. split; [intros ->; auto|now apply origin_injective].
        * rewrite peak_snoc. lia.
      + rewrite app_nil_r. split; [auto|split; [|lia]]. intros v Hv. cbn [after]. rewrite (A v Hv).
        destruct (N.eqb_spec (origin v) u) as [E|]; [|auto].
        assert (C := proj2 (image_of_value H u v) (conj Hv E)). congruence.
  Qed.

  (** A whole schedule. *)
  Theorem image_is_allowed s : every_action_allowed whole s ->
    every_action_allowed part (image_of s) /\
    seen_alike (state_after part (image_of s)) (state_after whole s) /\
    peak part (image_of s) <= peak whole s.
  Proof.
    induction s as [|a s IH] using rev_ind; intro Hs.
    - split; [intros t a Ha; destruct t; discriminate|split; [intros v _; reflexivity|cbn; lia]].
    - unfold image_of. rewrite flat_map_app. cbn [flat_map]. rewrite app_nil_r.
      assert (Hs1 := allowed_before whole s [a] Hs).
      assert (Ha : allowed whole (state_after whole s) a).
      { assert (Hb' : nth_error (s ++ [a]) (length s) = Some a) by (rewrite nth_error_app2, Nat.sub_diag by lia; auto).
        assert (X := Hs _ a Hb'). unfold state_before in X. now rewrite firstn_before, firstn_all in X by lia. }
      destruct (IH Hs1) as (I1 & I2 & I3). now apply image_follows.
  Qed.

  (** Costs: those of the part's ops, beside those of the ops left out. *)
  Theorem image_costs_less s :
    schedule_cost part (image_of s) +
    total (fun a => match a with Compute o => match image o with Some _ => 0 | None => cost whole o end | Drop _ => 0
      end) s
    <= schedule_cost whole s.
  Proof.
    unfold schedule_cost. induction s as [|a s IH]; [cbn; lia|]. unfold image_of in *. cbn [flat_map].
    rewrite total_app. unfold total in *. cbn [fold_right].
    assert (Ha : fold_right (fun a rest => action_cost part a + rest) 0 (image_of_action a) +
                 match a with Compute o => match image o with Some _ => 0 | None => cost whole o end | Drop _ => 0 end
                 <= action_cost whole a); [|lia].
    destruct a as [o|u]; cbn [image_of_action action_cost].
    - destruct (image o) as [p|] eqn:Ep; cbn; [assert (Hc := image_is_no_dearer H o p Ep); lia|lia].
    - destruct (value_image u); cbn; lia.
  Qed.
End Simulation.
