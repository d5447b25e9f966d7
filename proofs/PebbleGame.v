(** The classical pebble game, for graphs whose every op writes one value.

    Revolve is proved optimal in this game first; [ChainGraph.v] carries the result over to the toolkit's own rules,
    under which a value that is still resident may also be computed again. *)

From Coq Require Import List NArith Lia Bool.
Import ListNotations.
Local Open Scope N_scope.

(** A graph whose nodes are computed from their predecessors; each has a size and the work of computing it. *)
Record pebble_graph (V : Type) := PebbleGraph {
  exists_in : V -> Prop;
  predecessors : V -> list V;
  size : V -> N;
  work : V -> N
}.
Arguments exists_in {V}. Arguments predecessors {V}. Arguments size {V}. Arguments work {V}.

(** A move places a pebble on a node, which computes it, or takes one off. *)
Inductive move (V : Type) := Compute (v : V) | Free (v : V).
Arguments Compute {V}. Arguments Free {V}.

Section Game.
  Context {V : Type} (eqd : forall x y : V, {x = y} + {x <> y}) (g : pebble_graph V).

  (** Bytes of the pebbled nodes. *)
  Definition mem (S : list V) : N := fold_right (fun v a => size g v + a) 0 S.

  (** A node may be computed if it is not pebbled and all its predecessors are. *)
  Inductive step : list V -> move V -> list V -> Prop :=
  | step_compute v S : exists_in g v -> ~ In v S -> incl (predecessors g v) S ->
                       step S (Compute v) (v :: S)
  | step_free v S : In v S -> step S (Free v) (remove eqd v S).

  (** [run S ops tr S']: the moves [ops] lead from [S] through exactly the states [tr] to [S']. *)
  Inductive run : list V -> list (move V) -> list (list V) -> list V -> Prop :=
  | run_nil S : run S [] [S] S
  | run_cons S o S1 ops tr S2 :
      step S o S1 -> run S1 ops tr S2 -> run S (o :: ops) (S :: tr) S2.

  (** The work of moves. *)
  Definition move_cost (o : move V) := match o with Compute v => work g v | Free _ => 0 end.
  Definition total (ops : list (move V)) : N := fold_right (fun o a => move_cost o + a) 0 ops.

  (** Legal from no pebbles on, all outputs pebbled at the end, never more than [B] bytes, work at most [K]. *)
  Definition valid (outs : list V) (B K : N) (ops : list (move V)) : Prop :=
    exists tr S', run [] ops tr S' /\ (forall S, In S tr -> mem S <= B) /\
                  incl outs S' /\ total ops <= K.

  Lemma remove_notin v S : ~ In v S -> remove eqd v S = S.
  Proof. induction S; simpl; intros; auto. destruct (eqd v a); subst; [exfalso; auto|f_equal; auto]. Qed.

  Lemma remove_NoDup v S : NoDup S -> NoDup (remove eqd v S).
  Proof.
    induction 1; simpl; [constructor|]. destruct (eqd v x); auto. constructor; auto.
    intro Hi. apply in_remove in Hi. tauto.
  Qed.

  Lemma step_NoDup S o S' : step S o S' -> NoDup S -> NoDup S'.
  Proof. destruct 1; intro; [constructor; auto| now apply remove_NoDup]. Qed.

  (** No node carries two pebbles. *)
  Lemma run_trace_NoDup S ops tr S' : run S ops tr S' -> NoDup S -> forall X, In X tr -> NoDup X.
  Proof.
    induction 1; simpl; intros Hn X [<-|Hi]; try tauto.
    apply IHrun; auto. eapply step_NoDup; eauto.
  Qed.

End Game.
