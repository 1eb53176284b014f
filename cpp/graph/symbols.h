#pragma once

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
  struct Entry {
    std::string text;
    bool named;
  };
  Dim intern(const std::string& key, bool named);
  std::vector<Entry> entries_;
  std::unordered_map<std::string, Dim> by_key_;
};

}  // namespace fastort
