(** [hcb-check]: a graph file, a schedule and perhaps a budget; one answer, proved right. *)

From Coq Require Import List Arith NArith Bool Lia.
From HcbOpt Require Import Sums Model Judgement Checker GraphFiles.
Import ListNotations.
Local Open Scope N_scope.

Inductive answer :=
| BadGraph (fault : graph_fault)
| Refused (step : nat) (why : reason)
| OverBudget (peak_bytes : N) (spent : N) (in_fixed_order : bool)
| Accepted (peak_bytes : N) (spent : N) (in_fixed_order : bool).

Definition check (d : description) (budget : option N) (s : schedule) : answer :=
  let g := graph_of d in
  match find_graph_fault g with
  | Some fault => BadGraph fault
  | None =>
      match judge g s with
      | Illegal step why => Refused step why
      | Legal peak_bytes spent flag =>
          match budget with
          | Some limit =>
              if peak_bytes <=? limit then Accepted peak_bytes spent flag else OverBudget peak_bytes spent flag
          | None => Accepted peak_bytes spent flag
          end
      end
  end.

(** A peak fits if it is within the budget, where one is given. *)
Definition fits (budget : option N) (peak_bytes : N) : Prop :=
  match budget with Some limit => peak_bytes <= limit | None => True end.

(** What is accepted is a legal schedule of a well-formed graph that fits the budget, with these figures; and every such
    schedule is accepted. *)
Theorem accepted_iff d budget s peak_bytes spent flag :
  check d budget s = Accepted peak_bytes spent flag <->
  well_formed (graph_of d) /\ legal (graph_of d) s /\ peak_bytes = peak (graph_of d) s /\
  spent = schedule_cost (graph_of d) s /\ (flag = true <-> fixed_order s) /\ fits budget peak_bytes.
Proof.
  unfold check. rewrite <- no_fault_iff_well_formed. destruct (find_graph_fault (graph_of d)) eqn:E.
  { split; [discriminate|intros (? & _); discriminate]. }
  apply no_fault_iff_well_formed in E. assert (J := judge_accepts (graph_of d) E s).
  destruct (judge (graph_of d) s) as [p c f|step why] eqn:Ej.
  - assert (J' := proj1 (J p c f) eq_refl). destruct J' as (L & Hp & Hc & Hf).
    destruct budget as [limit|]; simpl.
    + destruct (N.leb_spec p limit) as [Hl|Hl].
      * split; [intros [= <- <- <-]; auto 7|]. intros (_ & _ & -> & -> & Hf' & _). rewrite <- Hp, <- Hc. f_equal.
        destruct f, flag; auto; destruct Hf, Hf'; intuition congruence.
      * split; [discriminate|]. intros (_ & _ & -> & _ & _ & Hl'). lia.
    + split; [intros [= <- <- <-]; auto 7|]. intros (_ & _ & -> & -> & Hf' & _). rewrite <- Hp, <- Hc. f_equal.
      destruct f, flag; auto; destruct Hf, Hf'; intuition congruence.
  - split; [discriminate|]. intros (_ & L & -> & -> & Hf & _).
    assert (H := proj2 (J _ _ flag) (conj L (conj eq_refl (conj eq_refl Hf)))). discriminate.
Qed.

(** What is refused breaks a rule, at that step first and for that reason; and every such schedule is refused so. *)
Theorem refused_iff d budget s step why : well_formed (graph_of d) ->
  (check d budget s = Refused step why <-> judged (graph_of d) s (Illegal step why)).
Proof.
  intro W. unfold check. rewrite (proj2 (no_fault_iff_well_formed _) W), <- judge_is_right by auto.
  destruct (judge (graph_of d) s) as [p c f|t r]; [|split; intros [= <- <-]; auto].
  destruct budget as [limit|]; [destruct (p <=? limit)|]; split; discriminate.
Qed.
