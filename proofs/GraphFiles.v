(** What a graph file says, the graph it describes, and whether that graph is well formed.

    The parser of [hcb-check] only turns lines into the lists of this file; everything from there on is proved. *)

From Coq Require Import List Arith NArith Bool Lia.
From HcbOpt Require Import Sums Model Tables.
Import ListNotations.
Local Open Scope N_scope.

(** One op as a file lists it. *)
Record op_entry := OpEntry {
  entry_cost : N;
  entry_workspace : N;
  entry_inputs : list N;
  entry_outputs : list N
}.

(** One value as a file lists it. *)
Record value_entry := ValueEntry { entry_size : N; entry_producer : N }.

(** Ops and values in the order of their positions. *)
Record description := Description {
  op_entries : list op_entry;
  value_entries : list value_entry;
  required_entries : list N;
  persistent_entry : N
}.

Definition of_entry {A B} (entry : option A) (field : A -> B) (default : B) : B :=
  match entry with Some entry => field entry | None => default end.

(** The graph that a file describes. *)
Definition graph_of (d : description) : graph :=
  let ops := table_of (op_entries d) in
  let values := table_of (value_entries d) in
  {| op_count := N.of_nat (length (op_entries d));
     value_count := N.of_nat (length (value_entries d));
     inputs := fun o => of_entry (look_up o ops) entry_inputs [];
     outputs := fun o => of_entry (look_up o ops) entry_outputs [];
     cost := fun o => of_entry (look_up o ops) entry_cost 0;
     workspace := fun o => of_entry (look_up o ops) entry_workspace 0;
     size := fun v => of_entry (look_up v values) entry_size 0;
     producer := fun v => of_entry (look_up v values) entry_producer 0;
     required := required_entries d;
     persistent_bytes := persistent_entry d |}.

(** The graph's op [o] is the file's entry [o]. *)
Theorem graph_has_the_entries d o entry : nth_error (op_entries d) (N.to_nat o) = Some entry ->
  inputs (graph_of d) o = entry_inputs entry /\ outputs (graph_of d) o = entry_outputs entry /\
  cost (graph_of d) o = entry_cost entry /\ workspace (graph_of d) o = entry_workspace entry.
Proof. intro H. simpl. rewrite look_up_is_nth, H. auto. Qed.

(** The graph's value [v] is the file's entry [v]. *)
Theorem graph_has_the_values d v entry : nth_error (value_entries d) (N.to_nat v) = Some entry ->
  size (graph_of d) v = entry_size entry /\ producer (graph_of d) v = entry_producer entry.
Proof. intro H. simpl. rewrite look_up_is_nth, H. auto. Qed.

(** * Is a graph well formed? *)

Fixpoint distinct (ns : list N) : bool :=
  match ns with [] => true | n :: rest => negb (among n rest) && distinct rest end.

Lemma distinct_iff ns : distinct ns = true <-> NoDup ns.
Proof.
  induction ns as [|n ns IH]; simpl; [split; auto; constructor|].
  rewrite andb_true_iff, negb_true_iff, among_not_in, IH. split.
  - intros [? ?]. now constructor.
  - intro H. inversion H; auto.
Qed.

(** Every input comes before, every output names the op, none is listed twice. *)
Definition op_is_well_formed (g : graph) (o : N) : bool :=
  forallb (fun v => (v <? value_count g) && (producer g v <? o)) (inputs g o) && distinct (inputs g o) &&
  forallb (fun v => (v <? value_count g) && (producer g v =? o)) (outputs g o) && distinct (outputs g o).

(** Its producer exists and lists it. *)
Definition value_is_well_formed (g : graph) (v : N) : bool :=
  (producer g v <? op_count g) && among v (outputs g (producer g v)).

(** What is wrong with a graph. *)
Inductive graph_fault := FaultyOp (op : N) | FaultyValue (value : N) | FaultyRequired.

(** The first fault of a graph, if any. *)
Definition find_graph_fault (g : graph) : option graph_fault :=
  match find (fun o => negb (op_is_well_formed g o)) (below (op_count g)) with
  | Some o => Some (FaultyOp o)
  | None =>
      match find (fun v => negb (value_is_well_formed g v)) (below (value_count g)) with
      | Some v => Some (FaultyValue v)
      | None =>
          if forallb (fun v => v <? value_count g) (required g) && distinct (required g) then None
          else Some FaultyRequired
      end
  end.

Lemma find_none_iff {A} (test : A -> bool) entries :
  find (fun x => negb (test x)) entries = None <-> (forall x, In x entries -> test x = true).
Proof.
  split.
  - intros H x Hx. apply (find_none _ _ H) in Hx. now apply negb_false_iff.
  - intro H. destruct (find _ entries) eqn:E; auto. apply find_some in E. destruct E as [Hi Hn].
    rewrite (H _ Hi) in Hn. discriminate.
Qed.

Lemma op_is_well_formed_iff g o : op_is_well_formed g o = true <->
  (forall v, In v (inputs g o) -> v < value_count g /\ producer g v < o) /\ NoDup (inputs g o) /\
  (forall v, In v (outputs g o) -> v < value_count g /\ producer g v = o) /\ NoDup (outputs g o).
Proof.
  unfold op_is_well_formed. rewrite !andb_true_iff, !forallb_forall, !distinct_iff.
  assert (E1 : (forall v, In v (inputs g o) -> (v <? value_count g) && (producer g v <? o) = true) <->
               (forall v, In v (inputs g o) -> v < value_count g /\ producer g v < o)).
  { split; intros H v Hv; specialize (H v Hv); rewrite andb_true_iff, !N.ltb_lt in *; auto. }
  assert (E2 : (forall v, In v (outputs g o) -> (v <? value_count g) && (producer g v =? o) = true) <->
               (forall v, In v (outputs g o) -> v < value_count g /\ producer g v = o)).
  { split; intros H v Hv; specialize (H v Hv); rewrite andb_true_iff, N.ltb_lt, N.eqb_eq in *; auto. }
  rewrite E1, E2. tauto.
Qed.

(** No fault is found exactly if the graph is well formed. *)
Theorem no_fault_iff_well_formed g : find_graph_fault g = None <-> well_formed g.
Proof.
  unfold find_graph_fault. split.
  - intro H. destruct (find _ (below (op_count g))) eqn:E1; [discriminate|].
    destruct (find _ (below (value_count g))) eqn:E2; [discriminate|].
    destruct (forallb _ _ && _) eqn:E3; [|discriminate].
    rewrite find_none_iff in E1, E2. apply andb_true_iff in E3. destruct E3 as [E3 E4].
    rewrite forallb_forall in E3. apply distinct_iff in E4.
    pose proof (fun o Ho => proj1 (op_is_well_formed_iff g o) (E1 o (proj2 (in_below _ o) Ho))) as Hop.
    constructor.
    + intros o v Ho. apply (Hop o Ho).
    + intros o Ho. apply (Hop o Ho).
    + intros o v Ho. apply (Hop o Ho).
    + intros o Ho. apply (Hop o Ho).
    + intros v Hv. assert (H2 := E2 v (proj2 (in_below _ _) Hv)). apply andb_true_iff in H2.
      rewrite N.ltb_lt, among_in in H2. auto.
    + intros v Hv. now apply N.ltb_lt, E3.
    + auto.
  - intro W. destruct W as [W1 W2 W3 W4 W5 W6 W7].
    rewrite (proj2 (find_none_iff (op_is_well_formed g) (below (op_count g)))).
    2:{ intros o Ho. apply in_below in Ho. apply op_is_well_formed_iff. repeat split; auto; intros; eauto;
        try (eapply W1; eauto; fail); try (eapply W3; eauto; fail). }
    rewrite (proj2 (find_none_iff (value_is_well_formed g) (below (value_count g)))).
    2:{ intros v Hv. apply in_below in Hv. destruct (W5 v Hv) as [A B]. apply andb_true_iff.
        rewrite N.ltb_lt, among_in. auto. }
    rewrite (proj2 (forallb_forall _ _)), (proj2 (distinct_iff _)); auto.
    intros v Hv. now apply N.ltb_lt, W6.
Qed.
