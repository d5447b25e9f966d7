(** Sums over lists, and the numbers below a bound.

    Bytes and costs are natural numbers ([N]); nothing here knows of graphs. *)

From Coq Require Import List NArith Bool Lia Permutation.
Import ListNotations.
Local Open Scope N_scope.

(** The sum of [weight x] over the entries [x] of a list. *)
Definition total {A} (weight : A -> N) (entries : list A) : N :=
  fold_right (fun entry rest => weight entry + rest) 0 entries.

(** [count] numbers in a row, from [first] on. *)
Fixpoint count_up (count : nat) (first : N) : list N :=
  match count with
  | O => []
  | S fewer => first :: count_up fewer (N.succ first)
  end.

(** The numbers 0, 1, ..., bound - 1. *)
Definition below (bound : N) : list N := count_up (N.to_nat bound) 0.

(** Whether a number is in a list. *)
Definition among (number : N) (numbers : list N) : bool := existsb (N.eqb number) numbers.

Lemma among_in number numbers : among number numbers = true <-> In number numbers.
Proof.
  unfold among. rewrite existsb_exists. split.
  - intros (x & Hx & E). apply N.eqb_eq in E. now subst.
  - intro H. exists number. split; [auto|apply N.eqb_refl].
Qed.

Lemma among_not_in number numbers : among number numbers = false <-> ~ In number numbers.
Proof. rewrite <- among_in. destruct (among number numbers); intuition congruence. Qed.

Lemma in_count_up count : forall first x, In x (count_up count first) <-> first <= x < first + N.of_nat count.
Proof.
  induction count as [|count IH]; intros first x; [simpl; lia|].
  cbn [count_up In]. rewrite IH. lia.
Qed.

Lemma in_below bound x : In x (below bound) <-> x < bound.
Proof. unfold below. rewrite in_count_up. lia. Qed.

Lemma distinct_count_up count : forall first, NoDup (count_up count first).
Proof.
  induction count as [|count IH]; intro first; constructor; auto. rewrite in_count_up. lia.
Qed.

Lemma distinct_below bound : NoDup (below bound).
Proof. apply distinct_count_up. Qed.

Lemma count_up_app a b first : count_up (a + b) first = count_up a first ++ count_up b (first + N.of_nat a).
Proof.
  revert first; induction a as [|a IH]; intro first; cbn [count_up Nat.add app].
  - f_equal. lia.
  - rewrite IH. do 3 f_equal. lia.
Qed.

Lemma below_split few many : few <= many -> below many = below few ++ count_up (N.to_nat (many - few)) few.
Proof.
  intro H. unfold below. replace (N.to_nat many) with (N.to_nat few + N.to_nat (many - few))%nat by lia.
  rewrite count_up_app. do 2 f_equal. lia.
Qed.

Lemma distinct_app {A} (one two : list A) :
  NoDup one -> NoDup two -> (forall x, In x one -> ~ In x two) -> NoDup (one ++ two).
Proof.
  induction 1 as [|x one Hx Hd IH]; simpl; auto. intros Htwo Hout. constructor.
  - rewrite in_app_iff. intros [?|?]; auto. apply (Hout x); auto.
  - apply IH; auto.
Qed.

Section Total.
  Context {A : Type}.
  Implicit Types (weight : A -> N) (entries : list A).

  Lemma total_app weight one two : total weight (one ++ two) = total weight one + total weight two.
  Proof. induction one as [|x one IH]; simpl; auto. rewrite IH. lia. Qed.

  Lemma total_le weight heavier entries :
    (forall x, In x entries -> weight x <= heavier x) -> total weight entries <= total heavier entries.
  Proof.
    induction entries as [|x entries IH]; simpl; intro H; [lia|].
    pose proof (H x (or_introl eq_refl)). specialize (IH (fun y Hy => H y (or_intror Hy))). lia.
  Qed.

  Lemma total_ext weight other entries :
    (forall x, In x entries -> weight x = other x) -> total weight entries = total other entries.
  Proof.
    intro H. apply N.le_antisymm; apply total_le; intros x Hx; rewrite (H x Hx); lia.
  Qed.

  Lemma total_sum weight other entries :
    total (fun x => weight x + other x) entries = total weight entries + total other entries.
  Proof. induction entries as [|x entries IH]; simpl; auto. rewrite IH. lia. Qed.

  Lemma total_zero entries : total (fun _ => 0) entries = 0.
  Proof. induction entries; simpl; auto. Qed.

  Lemma total_filter weight (keep : A -> bool) entries :
    total weight (filter keep entries) = total (fun x => if keep x then weight x else 0) entries.
  Proof. induction entries as [|x entries IH]; simpl; auto. destruct (keep x); simpl; rewrite IH; auto. Qed.

  Lemma total_map {B} weight (f : B -> A) (entries : list B) :
    total weight (map f entries) = total (fun x => weight (f x)) entries.
  Proof. induction entries as [|x entries IH]; simpl; auto. now rewrite IH. Qed.

  (** Distinct entries of a list weigh no more than the list. *)
  Lemma total_incl weight some all : NoDup some -> incl some all -> total weight some <= total weight all.
  Proof.
    revert all; induction some as [|x some IH]; intros all Hd Hi; [simpl; lia|].
    inversion Hd; subst. destruct (in_split x all) as (one & two & ->); [apply Hi; left; auto|].
    rewrite total_app. simpl.
    assert (total weight some <= total weight (one ++ two)).
    { apply IH; auto. intros y Hy. assert (Hy' := Hi y (or_intror Hy)).
      apply in_app_or in Hy'. apply in_or_app. destruct Hy' as [|[->|]]; tauto. }
    rewrite total_app in *. lia.
  Qed.
End Total.

(** The largest of some numbers; 0 if there are none. *)
Definition largest (numbers : list N) : N := fold_right N.max 0 numbers.

Lemma largest_app one two : largest (one ++ two) = N.max (largest one) (largest two).
Proof. induction one as [|x one IH]; simpl; [lia|]. rewrite IH. lia. Qed.

Lemma largest_le numbers bound : largest numbers <= bound <-> (forall x, In x numbers -> x <= bound).
Proof.
  induction numbers as [|x numbers IH]; simpl.
  - split; [intros _ x []|lia].
  - rewrite N.max_lub_iff, IH. split.
    + intros [H1 H2] y [<-|Hy]; auto.
    + intro H; split; [apply H; auto|intros y Hy; apply H; auto].
Qed.

Lemma in_le_largest x numbers : In x numbers -> x <= largest numbers.
Proof. apply (proj1 (largest_le numbers (largest numbers)) (N.le_refl _)). Qed.
