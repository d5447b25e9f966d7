(** Sums of many terms, with like terms combined, and the least they can be in a box of 0/1 variables. *)

From Coq Require Import List Arith NArith ZArith Bool Lia.
From HcbOpt Require Import Sums LinearRows FrontierCuts.
Import ListNotations.
Local Open Scope Z_scope.

(** * An order of the variables *)

Definition kind (x : variable) : N :=
  match x with Recompute _ _ => 0 | Carry _ _ => 1 | Later _ _ _ => 2 | HeldAt _ _ _ => 3 | Tail _ _ => 4 end%N.

Definition stage_in (x : variable) : nat :=
  match x with Recompute k _ | Carry k _ | Later k _ _ | HeldAt k _ _ | Tail k _ => k end.

Definition first_in (x : variable) : N :=
  match x with Recompute _ o => o | Carry _ v => v | Later _ o _ => o | HeldAt _ o _ => o | Tail _ o => o end.

Definition second_in (x : variable) : N :=
  match x with Recompute _ _ | Carry _ _ | Tail _ _ => 0%N | Later _ _ q => q | HeldAt _ _ v => v end.

(** The first comparison that does not say equal. *)
Definition and_then (one two : comparison) : comparison := match one with Eq => two | _ => one end.

Definition compare_variables (x y : variable) : comparison :=
  and_then (N.compare (first_in x) (first_in y))
    (and_then (N.compare (second_in x) (second_in y))
      (and_then (Nat.compare (stage_in x) (stage_in y)) (N.compare (kind x) (kind y)))).

Lemma compare_variables_equal x y : compare_variables x y = Eq -> x = y.
Proof.
  unfold compare_variables, and_then.
  destruct (N.compare_spec (first_in x) (first_in y)) as [E1| |]; try discriminate.
  destruct (N.compare_spec (second_in x) (second_in y)) as [E2| |]; try discriminate.
  destruct (Nat.compare_spec (stage_in x) (stage_in y)) as [E3| |]; try discriminate.
  intro E4. apply N.compare_eq in E4.
  destruct x, y; cbn in *; try discriminate; congruence.
Qed.

(** * Combining like terms *)

(** Merges two sums; whatever their order, the value is kept. If both are sorted, so is the result, like terms added. *)
Fixpoint merge (one : linear variable) : linear variable -> linear variable :=
  match one with
  | [] => fun two => two
  | (a, x) :: one' =>
      fix merge_into (two : linear variable) : linear variable :=
        match two with
        | [] => (a, x) :: one'
        | (b, y) :: two' =>
            match compare_variables x y with
            | Lt => (a, x) :: merge one' two
            | Eq => (a + b, x) :: merge one' two'
            | Gt => (b, y) :: merge_into two'
            end
        end
  end.

Lemma evaluate_cons (point : variable -> Z) a x rest :
  evaluate point ((a, x) :: rest) = a * point x + evaluate point rest.
Proof. reflexivity. Qed.

Lemma evaluate_nothing (point : variable -> Z) : evaluate point [] = 0.
Proof. reflexivity. Qed.

Lemma evaluate_merge point one : forall two,
  evaluate point (merge one two) = evaluate point one + evaluate point two.
Proof.
  induction one as [|[a x] one IH]; [reflexivity|]. induction two as [|[b y] two IHtwo].
  - simpl merge. rewrite evaluate_nothing. lia.
  - cbn [merge]. destruct (compare_variables x y) eqn:E.
    + apply compare_variables_equal in E. subst. rewrite !evaluate_cons, IH. lia.
    + rewrite !evaluate_cons, IH, evaluate_cons. lia.
    + cbn [merge] in IHtwo. rewrite !evaluate_cons, IHtwo, !evaluate_cons. lia.
Qed.

(** Runs of length 1, 2, 4, ... waiting to be merged. *)
Fixpoint add_run (run : linear variable) (waiting : list (option (linear variable))) :=
  match waiting with
  | [] => [Some run]
  | None :: rest => Some run :: rest
  | Some other :: rest => None :: add_run (merge other run) rest
  end.

Definition merge_waiting (waiting : list (option (linear variable))) : linear variable :=
  fold_right (fun run rest => match run with Some run => merge run rest | None => rest end) [] waiting.

(** A sum, sorted, with like terms added. *)
Definition gather (sum : linear variable) : linear variable :=
  merge_waiting (fold_left (fun waiting term => add_run [term] waiting) sum []).

Lemma evaluate_add_run point waiting : forall run,
  evaluate point (merge_waiting (add_run run waiting)) = evaluate point run + evaluate point (merge_waiting waiting).
Proof.
  induction waiting as [|[other|] rest IH]; intro run; cbn [add_run].
  - unfold merge_waiting. cbn [fold_right]. apply evaluate_merge.
  - change (merge_waiting (None :: add_run (merge other run) rest))
      with (merge_waiting (add_run (merge other run) rest)).
    rewrite IH, evaluate_merge. unfold merge_waiting at 2. cbn [fold_right]. rewrite evaluate_merge.
    fold (merge_waiting rest). lia.
  - unfold merge_waiting. cbn [fold_right]. apply evaluate_merge.
Qed.

Lemma evaluate_gather point sum : evaluate point (gather sum) = evaluate point sum.
Proof.
  unfold gather.
  assert (H : forall waiting,
    evaluate point (merge_waiting (fold_left (fun waiting term => add_run [term] waiting) sum waiting)) =
    evaluate point sum + evaluate point (merge_waiting waiting)).
  { induction sum as [|[a x] sum IH]; intro waiting; cbn [fold_left]; [reflexivity|].
    rewrite IH, evaluate_add_run, !evaluate_cons, evaluate_nothing. lia. }
  rewrite H. change (merge_waiting []) with (@nil (Z * variable)). rewrite evaluate_nothing. lia.
Qed.

(** * Scaling *)

Definition scale (factor : Z) (sum : linear variable) : linear variable :=
  map (fun term => (factor * fst term, snd term)) sum.

Lemma evaluate_scale point factor sum : evaluate point (scale factor sum) = factor * evaluate point sum.
Proof.
  induction sum as [|[a x] sum IH]; [simpl; lia|].
  change (scale factor ((a, x) :: sum)) with ((factor * a, x) :: scale factor sum).
  rewrite !evaluate_cons, IH. lia.
Qed.

(** * The least value in a box *)

(** Variables that are fixed to 0 or 1; the others are between 0 and 1. *)
Definition fixings := list (variable * bool).

Definition same_variable (x y : variable) : bool :=
  match compare_variables x y with Eq => true | _ => false end.

Definition fixed_to (fixed : fixings) (x : variable) : option bool :=
  match find (fun entry => same_variable x (fst entry)) fixed with Some (_, b) => Some b | None => None end.

(** A 0/1 point agrees with the fixings. *)
Definition agrees (point : variable -> Z) (fixed : fixings) : Prop :=
  (forall x, point x = 0 \/ point x = 1) /\
  forall x b, In (x, b) fixed -> point x = if b then 1 else 0.

Definition least (fixed : fixings) (sum : linear variable) : Z :=
  fold_right
    (fun term rest =>
       (match fixed_to fixed (snd term) with
        | Some true => fst term
        | Some false => 0
        | None => Z.min 0 (fst term)
        end) + rest) 0 sum.

Lemma fixed_to_in fixed x b : fixed_to fixed x = Some b -> In (x, b) fixed.
Proof.
  unfold fixed_to. destruct (find _ fixed) as [[y c]|] eqn:E; [|discriminate]. intros [= <-].
  apply find_some in E. destruct E as [Hi E]. unfold same_variable in E. cbn [fst] in E.
  destruct (compare_variables x y) eqn:Exy; try discriminate. apply compare_variables_equal in Exy. now subst y.
Qed.

Lemma least_is_least point fixed sum : agrees point fixed -> least fixed sum <= evaluate point sum.
Proof.
  intros [H01 Hfixed]. induction sum as [|[a x] sum IH]; [simpl; lia|].
  rewrite evaluate_cons. unfold least in *. cbn [fold_right fst snd].
  destruct (fixed_to fixed x) as [b|] eqn:E.
  - apply fixed_to_in in E. rewrite (Hfixed x b E). destruct b; lia.
  - destruct (H01 x) as [-> | ->]; lia.
Qed.
