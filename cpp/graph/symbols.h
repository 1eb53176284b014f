#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "tensor/shape.h"

namespace fastort {

// Names and expressions behind the symbolic dimensions of one model. Equal expressions of equal symbols give the same
// symbol, so that two dimensions computed in the same way are known to be equal. Symbol i is kFirstSymbol - i, and
// arithmetic takes the small negative numbers above kFirstSymbol as numbers.
class SymbolTable {
 public:
  Dim fresh();                         // a size about which nothing is known
  Dim named(const std::string& name);  // "batch"
  std::string name(Dim symbol) const;  // the model's name, an expression, or "?3"
  bool is_named(Dim symbol) const;     // comes from the model
  bool is_unknown(Dim symbol) const;   // made by `fresh`

  // Arithmetic on sizes; known operands are computed. `div_floor` and `div_ceil` round.
  Dim add(Dim a, Dim b);
  Dim sub(Dim a, Dim b);
  Dim mul(Dim a, Dim b);
  Dim div_floor(Dim a, Dim b);
  Dim div_ceil(Dim a, Dim b);
  Dim max(Dim a, Dim b);
  Dim min(Dim a, Dim b);
  // The size of `a` broadcast with `b`. A known size above 1 wins over a symbol.
  Dim broadcast(Dim a, Dim b);
  // Any other function of sizes, by name.
  Dim call(const std::string& function, std::span<const Dim> arguments);

 private:
  // An expression is a sum `constant + factor * atom + ...`; atoms are names, unknown sizes, products and calls. Only
  // sums that are more than one atom have `terms`.
  struct Term {
    Dim atom;
    int64_t factor;
  };
  struct Sum {
    std::vector<Term> terms;  // by descending atom, factors are not 0
    int64_t constant = 0;
  };
  enum class Kind : uint8_t { Unknown, Named, Sum, Product, DivFloor, Call };
  struct Entry {
    std::string text;
    Kind kind = Kind::Unknown;
    std::vector<Dim> operands;  // of a product or call
    Sum sum;
  };

  const Entry& entry(Dim symbol) const { return entries_[static_cast<size_t>(kFirstSymbol - symbol)]; }
  bool has(Dim symbol) const { return static_cast<size_t>(kFirstSymbol - symbol) < entries_.size(); }
  Dim intern(const std::string& key, Entry entry);
  Dim call(Kind kind, const std::string& function, std::span<const Dim> operands);
  Dim number(int64_t value);
  Sum expand(Dim dim) const;
  Dim from_sum(Sum sum);
  Dim combine(Dim a, Dim b, int64_t factor_of_b);
  std::vector<Dim> factors_of(Dim atom) const;
  Dim product(Dim a, Dim b);
  Dim scale(const Sum& sum, int64_t factor);
  bool never_negative(const Sum& sum) const;
  std::optional<Dim> difference(Dim a, Dim b);
  std::optional<Dim> divide_by_number(const Sum& sum, int64_t divisor);
  std::optional<Dim> divide_by_symbol(const Sum& sum, Dim divisor);
  std::string sum_text(const Sum& sum) const;
  std::string factor_text(Dim dim) const;

  std::vector<Entry> entries_;
  std::unordered_map<std::string, Dim> by_key_;
};

// "[batch,3,2*height+1]".
std::string to_string(const Shape& shape, const SymbolTable& symbols);

}  // namespace fastort
