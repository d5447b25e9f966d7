(* hcb-cert FILE...: reads a graph, a budget and a certificate; prints the lower bound that the certificate proves of
   every
   fixed-order schedule within the budget.

   Exit code 0: proved; 1: the certificate proves nothing; 2: the files cannot be used. A file may hold several cases,
   each
   closed by a line 'end'. *)

open Verified

let usage = "hcb-cert FILE... (a graph, a budget, a certificate; see proofs/README.md)"

let answer contents =
  match (contents.Lines.budget, contents.Lines.target) with
  | None, _ -> failwith "there is no budget"
  | _, None -> failwith "there is no target"
  | Some budget, Some target -> (
      let certificate =
        { certificate_cuts = contents.Lines.cuts; certificate_unit = contents.Lines.unit;
          certificate_target = target; certificate_tree = Lines.tree contents }
      in
      match certified_bound (Lines.description contents) budget certificate with
      | Some bound -> print_endline ("PROVED cost at least " ^ Numbers.show_signed bound); 0
      | None -> print_endline "REJECTED"; 1)

let () = Lines.main "hcb-cert" usage answer
