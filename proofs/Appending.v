(** What one more action does to a schedule's figures and properties. *)

From Coq Require Import List Arith NArith Bool Lia.
From HcbOpt Require Import Sums Model Residency.
Import ListNotations.
Local Open Scope N_scope.

Lemma firstn_before (played : schedule) (a : action) t : (t <= length played)%nat ->
  firstn t (played ++ [a]) = firstn t played.
Proof. intro H. rewrite firstn_app. replace (t - length played)%nat with O by lia. simpl. apply app_nil_r. Qed.

Lemma peak_snoc g played a :
  peak g (played ++ [a]) = N.max (peak g played)
    (match a with Compute o => bytes g (state_after g (played ++ [a])) + workspace g o | Drop _ => 0 end).
Proof.
  unfold peak. rewrite app_length. simpl length. rewrite Nat.add_1_r, seq_S, map_app, largest_app. f_equal.
  - f_equal. apply map_ext_in. intros t Ht. apply in_seq in Ht. unfold bytes_at, state_before.
    rewrite nth_error_app1 by lia. rewrite firstn_before by lia. reflexivity.
  - simpl. unfold bytes_at, state_before. rewrite nth_error_app2 by lia. rewrite Nat.sub_diag. simpl nth_error.
    cbv iota. rewrite firstn_all2 by (rewrite app_length; simpl; lia). destruct a; lia.
Qed.

Lemma cost_snoc g played a : schedule_cost g (played ++ [a]) = schedule_cost g played + action_cost g a.
Proof. unfold schedule_cost. rewrite total_app. simpl. lia. Qed.

Lemma computed_snoc (played : schedule) a o : computed (played ++ [a]) o = computed played o || computes o a.
Proof. rewrite computed_app. unfold computed at 2. simpl. now rewrite orb_false_r. Qed.

Lemma fixed_order_snoc (played : schedule) (a : action) : fixed_order (played ++ [a]) <->
  fixed_order played /\ forall o, a = Compute o -> forall p, p < o -> computed played p = true.
Proof.
  split.
  - intro H. split.
    + intros t o Ht p Hp. assert (Hl : (t < length played)%nat) by (apply nth_error_Some; congruence).
      rewrite <- (firstn_before played a t) by lia. apply (H t o); auto. now rewrite nth_error_app1.
    + intros o -> p Hp. assert (Hn := H (length played) o). rewrite nth_error_app2, Nat.sub_diag in Hn by lia.
      specialize (Hn eq_refl p Hp). rewrite firstn_before, firstn_all in Hn by lia. auto.
  - intros [Hf Ha] t o Ht p Hp. destruct (lt_eq_lt_dec t (length played)) as [[H| ->]|H].
    + rewrite firstn_before by lia. rewrite nth_error_app1 in Ht by auto. now apply (Hf t o).
    + rewrite nth_error_app2, Nat.sub_diag in Ht by lia. injection Ht as ->.
      rewrite firstn_before, firstn_all by lia. now apply (Ha o).
    + exfalso. assert (nth_error (played ++ [a]) t <> None) as Hn by congruence.
      apply nth_error_Some in Hn. rewrite app_length in Hn. simpl in Hn. lia.
Qed.

(** If the next action is allowed where an allowed schedule ends, the longer schedule is allowed. *)
Lemma allowed_snoc g played a : every_action_allowed g played -> allowed g (state_after g played) a ->
  every_action_allowed g (played ++ [a]).
Proof.
  intros Hs Ha t b Hb. destruct (lt_eq_lt_dec t (length played)) as [[H| ->]|H].
  - unfold state_before. rewrite firstn_before by lia. apply (Hs t b). rewrite nth_error_app1 in Hb by lia. auto.
  - rewrite nth_error_app2, Nat.sub_diag in Hb by lia. injection Hb as <-. unfold state_before.
    rewrite firstn_before, firstn_all by lia. auto.
  - exfalso. assert (nth_error (played ++ [a]) t <> None) as Hx by congruence.
    apply nth_error_Some in Hx. rewrite app_length in Hx. simpl in Hx. lia.
Qed.

(** What a schedule begins with is allowed if the schedule is. *)
Lemma allowed_before g one two : every_action_allowed g (one ++ two) -> every_action_allowed g one.
Proof.
  intros Hs t a Ha. assert (Hl : (t < length one)%nat) by (apply nth_error_Some; congruence).
  assert (Ha' : nth_error (one ++ two) t = Some a) by now rewrite nth_error_app1.
  assert (X := Hs t a Ha'). unfold state_before in *. rewrite firstn_app in X.
  replace (t - length one)%nat with O in X by lia. now rewrite app_nil_r in X.
Qed.

(** And it holds no more. *)
Lemma peak_before g one two : peak g one <= peak g (one ++ two).
Proof.
  induction two as [|a two IH] using rev_ind; [rewrite app_nil_r; lia|].
  rewrite app_assoc, (peak_snoc g). lia.
Qed.
