(* Reads the text files of hcb-check and hcb-cert line by line. Nothing here is proved: entries are listed in the
   order of
   the file, and every word must be known. *)

open Verified

exception Bad_line of int * string

(* One line of a certificate's proof. *)
type proof_line =
  | Branch_on of variable
  | Branch_on_sum of variable list * z
  | Leaf_with of z
  | Row_with of row_name * z
  | Limit_with of nat * z

type contents = {
  mutable ops : op_entry list;
  mutable values : value_entry list;
  mutable required : n list;
  mutable persistent : n;
  mutable budget : n option;
  mutable actions : action list;
  mutable cuts : n list;
  mutable unit : z;
  mutable target : z option;
  mutable proof : proof_line list;
}

let empty () =
  { ops = []; values = []; required = []; persistent = N0; budget = None; actions = []; cuts = []; unit = Zpos XH;
    target = None; proof = [] }

let variable words =
  let nat = Numbers.read_nat and number = Numbers.read in
  match words with
  | [ "R"; k; o ] -> Recompute (nat k, number o)
  | [ "S"; k; v ] -> Carry (nat k, number v)
  | [ "Y"; k; o; q ] -> Later (nat k, number o, number q)
  | [ "H"; k; o; v ] -> HeldAt (nat k, number o, number v)
  | [ "Z"; k; o ] -> Tail (nat k, number o)
  | _ -> failwith "a variable is R k o, S k v, Y k o q, H k o v or Z k o"

(* Variables with a plus between them. *)
let rec sum = function
  | [] -> failwith "a sum has variables with '+' between them"
  | words -> (
      let rec until_plus before = function
        | "+" :: rest -> (List.rev before, Some rest)
        | word :: rest -> until_plus (word :: before) rest
        | [] -> (List.rev before, None)
      in
      match until_plus [] words with
      | first, Some rest -> variable first :: sum rest
      | first, None -> [ variable first ])

let row words =
  let nat = Numbers.read_nat and number = Numbers.read in
  match words with
  | [ "available"; k; o; v ] -> Available (nat k, number o, number v)
  | [ "needed"; k; p; v ] -> Needed (nat k, number p, number v)
  | [ "carried"; k; v ] -> Carried (nat k, number v)
  | [ "cut-memory"; k ] -> CutMemory (nat k)
  | [ "output-kept"; v ] -> OutputKept (number v)
  | [ "later-runs"; k; o; q ] -> LaterRuns (nat k, number o, number q)
  | [ "not-both-later"; k; o; q ] -> NotBothLater (nat k, number o, number q)
  | [ "one-is-later"; k; o; q ] -> OneIsLater (nat k, number o, number q)
  | [ "held-to-end"; k; o; v ] -> HeldToEnd (nat k, number o, number v)
  | [ "held-for-cut"; k; o; v ] -> HeldForCut (nat k, number o, number v)
  | [ "held-for-output"; o; v ] -> HeldForOutput (number o, number v)
  | [ "held-for-run"; k; o; q; v ] -> HeldForRun (nat k, number o, number q, number v)
  | [ "run-memory"; k; o ] -> RunMemory (nat k, number o)
  | [ "tail-splits"; k; o ] -> TailSplits (nat k, number o)
  | [ "tail-has-now"; k; o ] -> TailHasNow (nat k, number o)
  | [ "tail-has-later"; k; o ] -> TailHasLater (nat k, number o)
  | [ "tail-available"; k; o; v ] -> TailAvailable (nat k, number o, number v)
  | [ "tail-needed"; k; p; v ] -> TailNeeded (nat k, number p, number v)
  | [ "tail-output"; k; v ] -> TailOutput (nat k, number v)
  | _ -> failwith "there is no such row"

let op cost workspace rest =
  let rec until_writes inputs = function
    | "writes" :: outputs -> (List.rev inputs, outputs)
    | word :: rest -> until_writes (word :: inputs) rest
    | [] -> failwith "an op needs the word 'writes'"
  in
  let inputs, outputs = until_writes [] rest in
  { entry_cost = Numbers.read cost; entry_workspace = Numbers.read workspace;
    entry_inputs = List.map Numbers.read inputs; entry_outputs = List.map Numbers.read outputs }

let read_words contents words =
  let add_proof line = contents.proof <- line :: contents.proof in
  match words with
  | "op" :: cost :: workspace :: "reads" :: rest -> contents.ops <- op cost workspace rest :: contents.ops
  | [ "value"; size; producer ] ->
      contents.values <-
        { entry_size = Numbers.read size; entry_producer = Numbers.read producer } :: contents.values
  | "required" :: values -> contents.required <- contents.required @ List.map Numbers.read values
  | [ "persistent"; bytes ] -> contents.persistent <- Numbers.read bytes
  | [ "budget"; bytes ] -> contents.budget <- Some (Numbers.read bytes)
  | [ "compute"; op ] -> contents.actions <- Compute (Numbers.read op) :: contents.actions
  | [ "drop"; value ] -> contents.actions <- Drop (Numbers.read value) :: contents.actions
  | "cuts" :: cuts -> contents.cuts <- contents.cuts @ List.map Numbers.read cuts
  | [ "unit"; unit ] -> contents.unit <- Numbers.read_signed unit
  | [ "target"; target ] -> contents.target <- Some (Numbers.read_signed target)
  | "branch" :: words -> add_proof (Branch_on (variable words))
  | "branch-sum" :: most :: words -> add_proof (Branch_on_sum (sum words, Numbers.read_signed most))
  | [ "limit"; multiplier; position ] ->
      add_proof (Limit_with (Numbers.read_nat position, Numbers.read_signed multiplier))
  | [ "leaf"; multiplier ] -> add_proof (Leaf_with (Numbers.read_signed multiplier))
  | "row" :: multiplier :: name -> add_proof (Row_with (row name, Numbers.read_signed multiplier))
  | word :: _ -> failwith (Printf.sprintf "cannot read a line that begins with '%s'" word)
  | [] -> ()

(* Reads a file; at a line 'end', what was read so far is one case, and the next begins with nothing. *)
let read_file contents at_end path =
  let channel = open_in path in
  let line = ref 0 in
  (try
     while true do
       let text = input_line channel in
       incr line;
       match List.filter (( <> ) "") (String.split_on_char ' ' text) with
       | [ "end" ] -> at_end !contents; contents := empty ()
       | word :: _ when word.[0] = '#' -> ()
       | words -> (
           try read_words !contents words with
           | Failure what -> raise (Bad_line (!line, what))
           | Numbers.Not_a_number word -> raise (Bad_line (!line, Printf.sprintf "'%s' is not a whole number" word)))
     done
   with End_of_file -> ());
  close_in channel

let description contents =
  { op_entries = List.rev contents.ops; value_entries = List.rev contents.values;
    required_entries = contents.required; persistent_entry = contents.persistent }

(* A proof in prefix form: a branch is followed by what holds if its variable is 0, then by what holds if it is 1. *)
let tree contents =
  let rec leaf multiplier rows limits = function
    | Row_with (name, times) :: rest -> leaf multiplier ((name, times) :: rows) limits rest
    | Limit_with (position, times) :: rest -> leaf multiplier rows ((position, times) :: limits) rest
    | rest -> (Combine (multiplier, List.rev rows, List.rev limits), rest)
  in
  let rec next = function
    | Leaf_with multiplier :: rest -> leaf multiplier [] [] rest
    | Branch_on_sum (summands, most) :: rest ->
        let few, rest = next rest in
        let many, rest = next rest in
        (SplitSum (summands, most, few, many), rest)
    | Branch_on x :: rest ->
        let zero, rest = next rest in
        let one, rest = next rest in
        (Split (x, zero, one), rest)
    | _ -> failwith "the proof ends early"
  in
  match next (List.rev contents.proof) with
  | tree, [] -> tree
  | _ -> failwith "the proof goes on after its end"

(* Runs a program on the files named on the command line; its exit code is the largest of its cases'. *)
let main name usage answer =
  match List.tl (Array.to_list Sys.argv) with
  | [] -> prerr_endline usage; exit 2
  | files -> (
      let contents = ref (empty ()) and cases = ref 0 and worst = ref 0 and reading = ref "" in
      let close contents = incr cases; worst := max !worst (answer contents) in
      try
        List.iter (fun file -> reading := file; read_file contents close file) files;
        if !cases = 0 || !contents <> empty () then close !contents;
        exit !worst
      with
      | Bad_line (line, what) -> Printf.eprintf "%s: %s, line %d: %s\n" name !reading line what; exit 2
      | Failure what | Sys_error what -> Printf.eprintf "%s: %s\n" name what; exit 2)
