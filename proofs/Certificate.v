(** Certificates of lower bounds, and their verified checker.

    A certificate is a tree. At a branch a variable is 0 or 1, or a sum of variables is at most a number or at least
    the next one; at a leaf, rows of the frontier-cut programme and limits of sums from the branches above, each times a
    whole number, add up to a proof that the objective is not below the target.
    The rows are named, not given: the checker
    builds them from the graph, the budget and the cuts ([FrontierCuts.row_of]). Whoever makes the tree, a solver with
    floating-point numbers or anyone else, need not be trusted. *)

From Coq Require Import List Arith NArith ZArith Bool Lia.
From HcbOpt Require Import Sums Model LinearRows FrontierCuts FrontierCutsSound LinearSums GraphFiles.
Import ListNotations.
Local Open Scope Z_scope.

Inductive tree :=
| Combine (objective_multiplier : Z) (row_multipliers : list (row_name * Z)) (limit_multipliers : list (nat * Z))
| Split (x : variable) (if_zero if_one : tree)
| SplitSum (summands : list variable) (most : Z) (if_at_most if_more : tree).

(** A row, times a multiplier that is not negative: its bound and its negated terms, added to others. *)
Definition add_row (r : row variable) (multiplier : Z) (others : option (Z * linear variable)) :=
  match others with
  | Some (sum_of_bounds, negated) =>
      if 0 <=? multiplier
      then Some (multiplier * bound r + sum_of_bounds, scale (- multiplier) (terms r) ++ negated)
      else None
  | None => None
  end.

(** The sum of the named rows, each times its multiplier. None if a row does not exist or a multiplier is negative. *)
Fixpoint add_rows (g : graph) (cuts : list N) (budget : N) (named : list (row_name * Z))
  (others : option (Z * linear variable)) : option (Z * linear variable) :=
  match named with
  | [] => others
  | (name, multiplier) :: rest =>
      match row_of g cuts budget name with
      | Some r => add_rows g cuts budget rest (add_row r multiplier others)
      | None => None
      end
  end.

(** The same of the limits above a leaf; they are counted from the nearest branch on. *)
Fixpoint add_limits (limits : list (row variable)) (counted : list (nat * Z)) (others : option (Z * linear variable)) :
  option (Z * linear variable) :=
  match counted with
  | [] => others
  | (position, multiplier) :: rest =>
      match nth_error limits position with
      | Some r => add_limits limits rest (add_row r multiplier others)
      | None => None
      end
  end.

(** The limits that a branch on a sum sets. *)
Definition sum_of (summands : list variable) : linear variable := map (fun x => (1, x)) summands.
Definition at_most (summands : list variable) (most : Z) : row variable := Row (scale (-1) (sum_of summands)) (- most).
Definition more_than (summands : list variable) (most : Z) : row variable := Row (sum_of summands) (most + 1).

(** Whether a tree proves that the objective, a multiple of [unit], is at least [target], a multiple too. [goal] is the
    objective's sum. *)
Fixpoint proves (g : graph) (cuts : list N) (budget : N) (goal : linear variable) (unit target : Z)
  (fixed : fixings) (limits : list (row variable)) (t : tree) : bool :=
  match t with
  | Combine multiplier named counted =>
      match add_limits limits counted (add_rows g cuts budget named (Some (0, []))) with
      | Some (sum_of_bounds, negated) =>
          (0 <=? multiplier) &&
          (multiplier * (target - unit) <?
             sum_of_bounds + least fixed (merge (scale multiplier goal) (gather negated)))
      | None => false
      end
  | Split x zero one =>
      proves g cuts budget goal unit target ((x, false) :: fixed) limits zero &&
      proves g cuts budget goal unit target ((x, true) :: fixed) limits one
  | SplitSum summands most few many =>
      proves g cuts budget goal unit target fixed (at_most summands most :: limits) few &&
      proves g cuts budget goal unit target fixed (more_than summands most :: limits) many
  end.

(** What holds of a sum of rows: its bounds are no more than its terms, which are negated here. *)
Definition adds_up (point : variable -> Z) (sum : option (Z * linear variable)) : Prop :=
  match sum with
  | Some (sum_of_bounds, negated) => sum_of_bounds + evaluate point negated <= 0
  | None => True
  end.

Lemma add_row_adds_up point r multiplier others : satisfies point r -> adds_up point others ->
  adds_up point (add_row r multiplier others).
Proof.
  intros Hr H. destruct others as [[b n]|]; cbn [add_row adds_up] in *; [|auto].
  destruct (Z.leb_spec 0 multiplier); [|exact I]. cbn [adds_up]. unfold satisfies in Hr.
  rewrite evaluate_app, evaluate_scale.
  assert (0 <= multiplier * (evaluate point (terms r) - bound r)) by (apply Z.mul_nonneg_nonneg; lia). lia.
Qed.

Lemma add_rows_adds_up g cuts budget point :
  (forall name r, row_of g cuts budget name = Some r -> satisfies point r) ->
  forall named others, adds_up point others -> adds_up point (add_rows g cuts budget named others).
Proof.
  intro Hrows. induction named as [|[name multiplier] rest IH]; cbn [add_rows]; intros others H; auto.
  destruct (row_of g cuts budget name) as [r|] eqn:Er; [|exact I]. apply IH, add_row_adds_up; eauto.
Qed.

Lemma add_limits_adds_up point limits : (forall r, In r limits -> satisfies point r) ->
  forall counted others, adds_up point others -> adds_up point (add_limits limits counted others).
Proof.
  intro Hlimits. induction counted as [|[position multiplier] rest IH]; cbn [add_limits]; intros others H; auto.
  destruct (nth_error limits position) as [r|] eqn:Er; [|exact I].
  apply IH, add_row_adds_up; auto. apply Hlimits. eapply nth_error_In; eauto.
Qed.

Lemma proves_sound g cuts budget goal unit target point t :
  (forall name r, row_of g cuts budget name = Some r -> satisfies point r) ->
  0 < unit -> (unit | target) -> (unit | evaluate point goal) ->
  forall fixed limits, agrees point fixed -> (forall r, In r limits -> satisfies point r) ->
  proves g cuts budget goal unit target fixed limits t = true -> target <= evaluate point goal.
Proof.
  intros Hrows Hunit [a Ha] [b Hb].
  induction t as [multiplier named counted|x zero IHzero one IHone|summands most few IHfew many IHmany];
    intros fixed limits Hagrees Hlimits H; cbn [proves] in H.
  - assert (Hsum : adds_up point (add_limits limits counted (add_rows g cuts budget named (Some (0, []))))).
    { apply add_limits_adds_up; auto. apply add_rows_adds_up; auto. cbn. lia. }
    destruct (add_limits _ _ _) as [[bounds negated]|]; [|discriminate]. cbn [adds_up] in Hsum.
    apply andb_true_iff in H. destruct H as [Hm H]. apply Z.leb_le in Hm. apply Z.ltb_lt in H.
    assert (Hl := least_is_least point fixed (merge (scale multiplier goal) (gather negated)) Hagrees).
    rewrite evaluate_merge, evaluate_scale, evaluate_gather in Hl.
    assert (Hlt : multiplier * (target - unit) < multiplier * evaluate point goal) by lia.
    assert (Hstrict : target - unit < evaluate point goal) by nia.
    rewrite Ha, Hb in Hstrict |- *. assert (a - 1 < b) by (apply (Z.mul_lt_mono_pos_r unit); lia).
    apply Z.mul_le_mono_nonneg_r; lia.
  - apply andb_true_iff in H. destruct H as [Hzero Hone]. destruct Hagrees as [H01 Hfixed]. destruct (H01 x) as [Hx|Hx].
    + apply (IHzero ((x, false) :: fixed) limits); auto. split; auto. intros y c [[= <- <-]|Hy]; auto.
    + apply (IHone ((x, true) :: fixed) limits); auto. split; auto. intros y c [[= <- <-]|Hy]; auto.
  - apply andb_true_iff in H. destruct H as [Hfew Hmany].
    destruct (Z_le_gt_dec (evaluate point (sum_of summands)) most).
    + apply (IHfew fixed (at_most summands most :: limits)); auto. intros r [<-|Hr]; auto.
      unfold satisfies, at_most. cbn [bound terms]. rewrite evaluate_scale. lia.
    + apply (IHmany fixed (more_than summands most :: limits)); auto. intros r [<-|Hr]; auto.
      unfold satisfies, more_than. cbn [bound terms]. lia.
Qed.

(** ** Cuts and costs *)

(** Cuts ascend and exist. *)
Fixpoint ascending (lowest bound : N) (cuts : list N) : bool :=
  match cuts with
  | [] => true
  | b :: rest => (lowest <=? b)%N && (b <? bound)%N && ascending (N.succ b) bound rest
  end.

Lemma ascending_valid g cuts : ascending 0 (op_count g) cuts = true -> cuts_valid g cuts.
Proof.
  assert (H : forall lowest, ascending lowest (op_count g) cuts = true ->
    (forall b, In b cuts -> (lowest <= b < op_count g)%N) /\
    (forall k b c, nth_error cuts k = Some b -> nth_error cuts (S k) = Some c -> (b < c)%N)).
  { induction cuts as [|b cuts IH]; intros lowest H.
    - split; [intros b []|intros k b c Hb; destruct k; discriminate].
    - cbn [ascending] in H. apply andb_true_iff in H. destruct H as [H Hrest]. apply andb_true_iff in H.
      destruct H as [H1 H2]. apply N.leb_le in H1. apply N.ltb_lt in H2. destruct (IH _ Hrest) as [Hin Hasc].
      split.
      + intros c [<-|Hc]; [lia|]. specialize (Hin c Hc). lia.
      + intros [|k] c d Hc Hd; cbn in Hc, Hd.
        * injection Hc as <-. assert (Hi := Hin d (nth_error_In cuts 0 Hd)). lia.
        * eapply Hasc; eauto. }
  intro Ha. destruct (H 0%N Ha) as [H1 H2]. constructor; auto. intros b Hb. apply (H1 b Hb).
Qed.

(** [unit] divides every op's cost. *)
Definition divides_costs (g : graph) (unit : Z) : bool :=
  forallb (fun o => Z.of_N (cost g o) mod unit =? 0) (below (op_count g)).

Lemma objective_is_multiple g cuts unit point : 0 < unit -> cuts_valid g cuts -> divides_costs g unit = true ->
  (unit | evaluate point (objective g cuts)).
Proof.
  intros Hunit C H. unfold divides_costs in H. rewrite forallb_forall in H.
  assert (Hcost : forall o, (o < op_count g)%N -> (unit | Z.of_N (cost g o))).
  { intros o Ho. apply Z.mod_divide; [lia|]. apply Z.eqb_eq, H. now apply in_below. }
  unfold objective. induction (seq 0 (S (last_stage cuts))) as [|k ks IH]; cbn [flat_map].
  - exists 0. reflexivity.
  - rewrite evaluate_app. apply Z.divide_add_r; auto. unfold stage_objective, weighted.
    assert (Hold : forall o, In o (below (first_new g cuts k)) -> (o < op_count g)%N).
    { intros o Ho. apply in_below in Ho. destruct k as [|k]; [simpl in Ho; lia|]. simpl in Ho.
      destruct (nth_error cuts k) as [b|] eqn:Eb; [|auto].
      assert (Hb := cuts_exist g cuts C b (nth_error_In _ _ Eb)). lia. }
    induction (below (first_new g cuts k)) as [|o os IHo]; cbn [map].
    + exists 0. reflexivity.
    + unfold evaluate. cbn [fold_right fst snd]. apply Z.divide_add_r.
      * apply Z.divide_mul_l. rewrite Z.mul_1_l. apply Hcost, Hold. left; auto.
      * apply IHo. intros q Hq. apply Hold. right; auto.
Qed.

(** * The checker *)

(** A certificate: cuts, a unit that divides all costs, the cost that recomputes at least add, and the proof. *)
Record certificate := Certificate {
  certificate_cuts : list N;
  certificate_unit : Z;
  certificate_target : Z;
  certificate_tree : tree
}.

(** The lower bound that a certificate proves for a graph and a budget: the base cost plus the target. None if it proves
    nothing. *)
Definition certified_bound (d : description) (budget : N) (c : certificate) : option Z :=
  let g := graph_of d in
  let cuts := certificate_cuts c in
  let unit := certificate_unit c in
  let target := certificate_target c in
  match find_graph_fault g with
  | Some _ => None
  | None =>
      if ascending 0 (op_count g) cuts && (0 <? unit) && divides_costs g unit && (target mod unit =? 0) &&
         proves g cuts budget (gather (objective g cuts)) unit target [] [] (certificate_tree c)
      then Some (Z.of_N (base_cost g) + target)
      else None
  end.

(** What the checker accepts is a lower bound of the cost of every legal fixed-order schedule within the budget. *)
Theorem certified_bound_holds d budget c lower : certified_bound d budget c = Some lower ->
  forall s, legal (graph_of d) s -> fixed_order s -> (peak (graph_of d) s <= budget)%N ->
  lower <= Z.of_N (schedule_cost (graph_of d) s).
Proof.
  unfold certified_bound. destruct (find_graph_fault (graph_of d)) eqn:Eg; [discriminate|].
  apply no_fault_iff_well_formed in Eg.
  destruct (_ && _) eqn:E; [|discriminate]. intros [= <-] s L F P.
  repeat (apply andb_true_iff in E; destruct E as [E ?]).
  match goal with H : (0 <? _) = true |- _ => apply Z.ltb_lt in H; rename H into Hunit end.
  match goal with H : (_ mod _ =? 0) = true |- _ => apply Z.eqb_eq in H; rename H into Htarget end.
  apply ascending_valid in E. rename E into C.
  assert (Hcost : evaluate (point (graph_of d) (certificate_cuts c) s) (objective (graph_of d) (certificate_cuts c)) +
                  Z.of_N (base_cost (graph_of d)) <= Z.of_N (schedule_cost (graph_of d) s))
    by (eapply objective_bounds_cost; eauto).
  enough (certificate_target c <=
          evaluate (point (graph_of d) (certificate_cuts c) s) (gather (objective (graph_of d) (certificate_cuts c))))
    by (rewrite evaluate_gather in *; lia).
  eapply proves_sound; eauto.
  - intros name r Hr. eapply schedule_satisfies_row; eauto.
  - apply Z.mod_divide; [lia|auto].
  - rewrite evaluate_gather. now apply objective_is_multiple.
  - split; [|intros x b []]. intro x. unfold point. destruct (chosen _ _ _ x); auto.
  - intros r [].
Qed.

(** With a legal schedule of that cost, the schedule is optimal: no fixed-order schedule within the budget is cheaper.
    *)
Corollary certified_optimal d budget c lower s : certified_bound d budget c = Some lower ->
  legal (graph_of d) s -> fixed_order s -> (peak (graph_of d) s <= budget)%N ->
  Z.of_N (schedule_cost (graph_of d) s) = lower ->
  forall other, legal (graph_of d) other -> fixed_order other -> (peak (graph_of d) other <= budget)%N ->
  (schedule_cost (graph_of d) s <= schedule_cost (graph_of d) other)%N.
Proof.
  intros C L F P E other L' F' P'. assert (H := certified_bound_holds d budget c lower C other L' F' P'). lia.
Qed.
