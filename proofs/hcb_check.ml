(* hcb-check FILE...: reads graph, schedule and perhaps a budget; prints what the verified judge says.

   Exit code 0: legal, and within the budget if there is one; 1: not; 2: the files cannot be used. A file may hold
   several
   cases, each closed by a line 'end'. *)

open Verified
open Numbers

let usage = "hcb-check FILE... (a graph, a schedule, perhaps a budget; see proofs/README.md)"

let say_fault = function
  | FaultyOp op -> Printf.sprintf "op %s: its inputs must come before it, its outputs must name it" (show op)
  | FaultyValue value -> Printf.sprintf "value %s: its producer does not list it" (show value)
  | FaultyRequired -> "required: these must be distinct values"

let say_reason = function
  | NoSuchOp op -> "no-such-op " ^ show op
  | InputNotResident (op, value) -> Printf.sprintf "input-not-resident %s %s" (show op) (show value)
  | NoSuchValue value -> "no-such-value " ^ show value
  | DroppedNotResident value -> "dropped-not-resident " ^ show value
  | NeverComputed op -> "never-computed " ^ show op
  | OutputNotResident value -> "output-not-resident " ^ show value

let figures peak cost in_order =
  Printf.sprintf "peak %s cost %s order %s" (show peak) (show cost) (if in_order then "fixed" else "free")

let answer contents =
  match check (Lines.description contents) contents.Lines.budget (List.rev contents.Lines.actions) with
  | Accepted (peak, cost, in_order) -> print_endline ("LEGAL " ^ figures peak cost in_order); 0
  | OverBudget (peak, cost, in_order) -> print_endline ("OVER BUDGET " ^ figures peak cost in_order); 1
  | Refused (step, why) -> Printf.printf "ILLEGAL step %s %s\n" (show_nat step) (say_reason why); 1
  | BadGraph fault -> failwith (say_fault fault)

let () = Lines.main "hcb-check" usage answer
