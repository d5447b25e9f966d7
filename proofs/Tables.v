(** Sets and tables of numbers with logarithmic look-up, and what looking up means. *)

From Coq Require Import List NArith PArith Bool Lia FMapPositive.
From HcbOpt Require Import Sums.
Import ListNotations.
Local Open Scope N_scope.
Module Table := PositiveMap.

(** The key under which number [n] is kept. *)
Definition key (n : N) : positive := N.succ_pos n.

Lemma key_injective n m : key n = key m -> n = m.
Proof. unfold key. intro H. apply (f_equal Npos) in H. rewrite !N.succ_pos_spec in H. lia. Qed.

(** * Sets *)

Definition number_set := Table.t unit.
Definition no_numbers : number_set := Table.empty unit.
Definition has (n : N) (set : number_set) : bool :=
  match Table.find (key n) set with Some _ => true | None => false end.
Definition put (n : N) (set : number_set) : number_set := Table.add (key n) tt set.
Definition take (n : N) (set : number_set) : number_set := Table.remove (key n) set.
Definition put_all (ns : list N) (set : number_set) : number_set := fold_left (fun set n => put n set) ns set.

Lemma has_no_numbers n : has n no_numbers = false.
Proof. unfold has, no_numbers. now rewrite Table.gempty. Qed.

Lemma has_put n m set : has n (put m set) = (n =? m) || has n set.
Proof.
  unfold has, put. destruct (N.eqb_spec n m) as [->|H].
  - now rewrite Table.gss.
  - rewrite Table.gso; auto. intro E. apply key_injective in E. auto.
Qed.

Lemma has_take n m set : has n (take m set) = negb (n =? m) && has n set.
Proof.
  unfold has, take. destruct (N.eqb_spec n m) as [->|H].
  - now rewrite Table.grs.
  - rewrite Table.gro; auto. intro E. apply key_injective in E. auto.
Qed.

Lemma has_put_all n ns set : has n (put_all ns set) = among n ns || has n set.
Proof.
  unfold put_all. revert set. induction ns as [|m ns IH]; intro set; simpl; auto.
  rewrite IH, has_put. simpl. destruct (among n ns), (n =? m); auto.
Qed.

(** * Tables: entry [n] of a list *)

Fixpoint fill {A} (entries : list A) (n : N) (table : Table.t A) : Table.t A :=
  match entries with
  | [] => table
  | entry :: rest => fill rest (N.succ n) (Table.add (key n) entry table)
  end.

Definition table_of {A} (entries : list A) : Table.t A := fill entries 0 (Table.empty A).
Definition look_up {A} (n : N) (table : Table.t A) : option A := Table.find (key n) table.

Lemma look_up_fill {A} (entries : list A) : forall n table m,
  look_up m (fill entries n table) =
  if m <? n then look_up m table
  else match nth_error entries (N.to_nat (m - n)) with Some entry => Some entry | None => look_up m table end.
Proof.
  induction entries as [|entry rest IH]; intros n table m; simpl fill.
  - destruct (m <? n); auto. destruct (N.to_nat (m - n)); auto.
  - rewrite IH. unfold look_up.
    destruct (N.ltb_spec m (N.succ n)), (N.ltb_spec m n); try lia.
    + rewrite Table.gso; auto. intro E. apply key_injective in E. lia.
    + replace m with n by lia. rewrite N.sub_diag. simpl. now rewrite Table.gss.
    + replace (N.to_nat (m - n)) with (S (N.to_nat (m - N.succ n))) by lia. simpl.
      destruct (nth_error rest _); auto. rewrite Table.gso; auto. intro E. apply key_injective in E. lia.
Qed.

(** Looking up in a table is counting along the list it was made from. *)
Theorem look_up_is_nth {A} (entries : list A) n : look_up n (table_of entries) = nth_error entries (N.to_nat n).
Proof.
  unfold table_of. rewrite look_up_fill. destruct (N.ltb_spec n 0); [lia|].
  rewrite N.sub_0_r. destruct (nth_error entries _); auto. unfold look_up. apply Table.gempty.
Qed.
