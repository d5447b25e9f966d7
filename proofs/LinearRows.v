(** Linear programmes over named variables: terms, rows, and what it means that a point satisfies them. *)

From Coq Require Import List NArith ZArith Bool Lia.
From HcbOpt Require Import Sums.
Import ListNotations.
Local Open Scope Z_scope.

(** A sum of coefficients times variables. *)
Definition linear (variable : Type) := list (Z * variable).

(** The row [terms >= bound]. *)
Record row (variable : Type) := Row { terms : linear variable; bound : Z }.
Arguments Row {variable}. Arguments terms {variable}. Arguments bound {variable}.

(** The value of a sum at a point. *)
Definition evaluate {variable} (point : variable -> Z) (sum : linear variable) : Z :=
  fold_right (fun term rest => fst term * point (snd term) + rest) 0 sum.

(** A point satisfies a row. *)
Definition satisfies {variable} (point : variable -> Z) (r : row variable) : Prop :=
  bound r <= evaluate point (terms r).

(** Coefficient [weight x] for variable [name x], for every entry [x] of a list. *)
Definition weighted {A variable} (weight : A -> Z) (name : A -> variable) (entries : list A) : linear variable :=
  map (fun x => (weight x, name x)) entries.

Lemma evaluate_app {variable} (point : variable -> Z) one two :
  evaluate point (one ++ two) = evaluate point one + evaluate point two.
Proof. induction one as [|t one IH]; simpl; auto. unfold evaluate in *. simpl. rewrite IH. lia. Qed.

(** At a 0/1 point, a sum with the coefficients [sign * weight x] counts the weights of the variables that are 1. *)
Lemma evaluate_weighted {A variable} (point : variable -> Z) (weight : A -> N) (name : A -> variable) (on : A -> bool)
  (sign : Z) (entries : list A) : (forall x, In x entries -> point (name x) = if on x then 1 else 0) ->
  evaluate point (weighted (fun x => sign * Z.of_N (weight x)) name entries) =
  sign * Z.of_N (total (fun x => if on x then weight x else 0%N) entries).
Proof.
  unfold evaluate, weighted, total. induction entries as [|x entries IH]; intro H; simpl; [lia|].
  rewrite IH by (intros; apply H; right; auto). rewrite (H x) by (left; auto). destruct (on x); lia.
Qed.
