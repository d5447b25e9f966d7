(** The verified programs as OCaml.

    Only Coq's own booleans, options, lists and pairs are mapped to OCaml's;
      numbers stay what they are in the proofs. *)

From Coq Require Import Extraction ExtrOcamlBasic NArith ZArith.
From HcbOpt Require Import HcbCheck Certificate.
Extraction Language OCaml.
Extraction "verified.ml" check certified_bound N.add N.mul Z.opp.
