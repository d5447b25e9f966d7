(* Numbers between text and Coq's binary form, of any size. Nothing here is proved. *)

open Verified

exception Not_a_number of string

let rec positive n = if n = 1 then XH else if n land 1 = 1 then XI (positive (n lsr 1)) else XO (positive (n lsr 1))
let number n = if n = 0 then N0 else Npos (positive n)

(* A whole number, digit by digit where OCaml's integers are too small for it. *)
let read word =
  if word = "" || not (String.for_all (fun c -> '0' <= c && c <= '9') word) then raise (Not_a_number word);
  if String.length word <= 18 then number (int_of_string ("0u" ^ word))
  else
    let ten = number 10 in
    String.fold_left (fun value digit -> N.add (N.mul value ten) (number (Char.code digit - 48))) N0 word

let read_signed word =
  let signed = function N0 -> Z0 | Npos p -> Zpos p in
  if word <> "" && word.[0] = '-' then Z.opp (signed (read (String.sub word 1 (String.length word - 1))))
  else signed (read word)

let read_nat word =
  let rec unary n = if n = 0 then O else S (unary (n - 1)) in
  match int_of_string_opt word with Some n when 0 <= n && n < 100_000 -> unary n | _ -> raise (Not_a_number word)

(* Decimal digits, lowest first: doubling bit by bit, the highest bit first. *)
let show_positive p =
  let rec double carry = function
    | [] -> if carry = 0 then [] else [ carry ]
    | digit :: rest -> let twice = (2 * digit) + carry in (twice mod 10) :: double (twice / 10) rest
  in
  let rec digits = function XH -> [ 1 ] | XO p -> double 0 (digits p) | XI p -> double 1 (digits p) in
  String.concat "" (List.rev_map string_of_int (digits p))

let show = function N0 -> "0" | Npos p -> show_positive p
let show_signed = function Z0 -> "0" | Zpos p -> show_positive p | Zneg p -> "-" ^ show_positive p

let show_nat n =
  let rec count total = function O -> total | S n -> count (total + 1) n in
  string_of_int (count 0 n)
