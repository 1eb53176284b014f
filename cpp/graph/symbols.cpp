#include "graph/symbols.h"

#include <algorithm>
#include <utility>

#include "base/checked.h"
#include "base/error.h"

namespace fastort {
namespace {

// Bounds on one expression, so that a model cannot make expressions that grow without end. A product of sums is
// multiplied out while it stays small; whatever else is too large becomes a size about which nothing is known.
constexpr size_t kMaxProductTerms = 16;
constexpr size_t kMaxTerms = 64;
constexpr size_t kMaxFactors = 16;
constexpr size_t kMaxText = 200;
constexpr int64_t kMaxNumber = int64_t{1} << 61;
constexpr bool is_small(int64_t value) { return value <= kMaxNumber && value >= -kMaxNumber; }

int64_t floor_div(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

int64_t ceil_div(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) == (b < 0) ? quotient + 1 : quotient;
}

bool is_number(Dim dim) noexcept { return !is_symbol(dim); }

std::string key_of(char kind, const std::string& function, std::span<const Dim> operands) {
  std::string key = kind + function + '(';
  for (Dim operand : operands)
    key += std::to_string(is_symbol(operand) ? kFirstSymbol - operand : operand) + (is_symbol(operand) ? "s," : ",");
  return key;
}

}  // namespace

Dim SymbolTable::intern(const std::string& key, Entry entry) {
  const Dim next = kFirstSymbol - static_cast<Dim>(entries_.size());
  const auto [at, inserted] = by_key_.try_emplace(key, next);
  if (inserted) {
    if (entry.text.size() > kMaxText && entry.kind != Kind::Named) entry.text = "?" + std::to_string(entries_.size());
    entries_.push_back(std::move(entry));
  }
  return at->second;
}

Dim SymbolTable::fresh() {
  const size_t index = entries_.size();
  Entry unknown;
  unknown.text = "?" + std::to_string(index);
  entries_.push_back(std::move(unknown));
  return kFirstSymbol - static_cast<Dim>(index);
}

Dim SymbolTable::named(const std::string& name) {
  Entry named;
  named.text = name;
  named.kind = Kind::Named;
  return intern("n" + name, std::move(named));
}

std::string SymbolTable::name(Dim symbol) const {
  if (is_number(symbol)) return std::to_string(symbol);
  return has(symbol) ? entry(symbol).text : "?";
}

bool SymbolTable::is_named(Dim symbol) const {
  return is_symbol(symbol) && has(symbol) && entry(symbol).kind == Kind::Named;
}

bool SymbolTable::is_unknown(Dim symbol) const {
  return is_symbol(symbol) && (!has(symbol) || entry(symbol).kind == Kind::Unknown);
}

// A computed number; one that would look like a symbol is a size about which nothing is known.
Dim SymbolTable::number(int64_t value) { return is_symbol(value) ? fresh() : value; }

SymbolTable::Sum SymbolTable::expand(Dim dim) const {
  if (is_number(dim)) return {{}, dim};
  if (has(dim) && entry(dim).kind == Kind::Sum) return entry(dim).sum;
  return {{{dim, 1}}, 0};
}

Dim SymbolTable::from_sum(Sum sum) {
  bool small = is_small(sum.constant) && sum.terms.size() <= kMaxTerms;
  for (const Term& term : sum.terms) small = small && is_small(term.factor);
  if (!small) return fresh();
  if (sum.terms.empty()) return number(sum.constant);
  if (sum.terms.size() == 1 && sum.terms[0].factor == 1 && sum.constant == 0) return sum.terms[0].atom;
  std::string key = "+" + std::to_string(sum.constant);
  for (const Term& term : sum.terms)
    key += ';' + std::to_string(term.factor) + '*' + std::to_string(kFirstSymbol - term.atom);
  Entry entry;
  entry.text = sum_text(sum);
  entry.kind = Kind::Sum;
  entry.sum = std::move(sum);
  return intern(key, std::move(entry));
}

std::string SymbolTable::sum_text(const Sum& sum) const {
  std::string text;
  for (const Term& term : sum.terms) {
    if (term.factor == -1) {
      text += '-';
    } else {
      if (!text.empty() && term.factor > 0) text += '+';
      if (term.factor != 1) text += std::to_string(term.factor) + '*';
    }
    text += name(term.atom);
  }
  if (sum.constant > 0) text += '+';
  if (sum.constant != 0) text += std::to_string(sum.constant);
  return text;
}

std::string SymbolTable::factor_text(Dim dim) const {
  const bool bare = is_number(dim) || !has(dim) || (entry(dim).kind != Kind::Sum && entry(dim).kind != Kind::DivFloor);
  return bare ? name(dim) : '(' + name(dim) + ')';
}

// a + factor_of_b * b.
Dim SymbolTable::combine(Dim a, Dim b, int64_t factor_of_b) {
  const Sum left = expand(a), right = expand(b);
  Sum sum;
  size_t i = 0, j = 0;
  const auto push = [&](Dim atom, std::optional<int64_t> factor) {
    if (!factor) return false;
    if (*factor != 0) sum.terms.push_back({atom, *factor});
    return true;
  };
  while (i < left.terms.size() || j < right.terms.size()) {
    const bool take_left =
        j == right.terms.size() || (i < left.terms.size() && left.terms[i].atom > right.terms[j].atom);
    const bool take_right =
        i == left.terms.size() || (j < right.terms.size() && right.terms[j].atom > left.terms[i].atom);
    bool ok;
    if (take_left) {
      ok = push(left.terms[i].atom, left.terms[i].factor);
      ++i;
    } else if (take_right) {
      ok = push(right.terms[j].atom, checked_mul(right.terms[j].factor, factor_of_b));
      ++j;
    } else {
      const auto scaled = checked_mul(right.terms[j].factor, factor_of_b);
      ok = push(left.terms[i].atom, scaled ? checked_add(left.terms[i].factor, *scaled) : std::nullopt);
      ++i;
      ++j;
    }
    if (!ok) return fresh();
  }
  const auto scaled = checked_mul(right.constant, factor_of_b);
  const auto constant = scaled ? checked_add(left.constant, *scaled) : std::nullopt;
  if (!constant) return fresh();
  sum.constant = *constant;
  return from_sum(std::move(sum));
}

Dim SymbolTable::add(Dim a, Dim b) { return combine(a, b, 1); }
Dim SymbolTable::sub(Dim a, Dim b) { return combine(a, b, -1); }

Dim SymbolTable::scale(const Sum& sum, int64_t factor) {
  if (factor == 0) return 0;
  Sum scaled;
  for (const Term& term : sum.terms) {
    const auto product = checked_mul(term.factor, factor);
    if (!product) return fresh();
    scaled.terms.push_back({term.atom, *product});
  }
  const auto constant = checked_mul(sum.constant, factor);
  if (!constant) return fresh();
  scaled.constant = *constant;
  return from_sum(std::move(scaled));
}

std::vector<Dim> SymbolTable::factors_of(Dim atom) const {
  if (has(atom) && entry(atom).kind == Kind::Product) return entry(atom).operands;
  return {atom};
}

// The product of two atoms.
Dim SymbolTable::product(Dim a, Dim b) {
  std::vector<Dim> factors = factors_of(a);
  for (Dim factor : factors_of(b)) factors.push_back(factor);
  if (factors.size() > kMaxFactors) return fresh();
  std::sort(factors.begin(), factors.end(), std::greater<>());
  Entry entry;
  entry.kind = Kind::Product;
  for (Dim factor : factors) entry.text += (entry.text.empty() ? "" : "*") + factor_text(factor);
  const std::string key = key_of('*', "", factors);
  entry.operands = std::move(factors);
  return intern(key, std::move(entry));
}

Dim SymbolTable::mul(Dim a, Dim b) {
  const Sum left = expand(a), right = expand(b);
  if (left.terms.empty()) return scale(right, left.constant);
  if (right.terms.empty()) return scale(left, right.constant);
  if (left.terms.size() * right.terms.size() > kMaxProductTerms) {
    const Dim operands[] = {std::max(a, b), std::min(a, b)};
    return call(Kind::Call, "mul", operands);
  }
  const auto constant = checked_mul(left.constant, right.constant);
  if (!constant || !is_small(*constant)) return fresh();
  Dim result = combine(scale(left, right.constant), scale(right, left.constant), 1);
  result = combine(result, number(-*constant), 1);  // it stands in both of the products above
  for (const Term& x : left.terms) {
    for (const Term& y : right.terms) {
      const auto factor = checked_mul(x.factor, y.factor);
      if (!factor) return fresh();
      result = combine(result, product(x.atom, y.atom), *factor);
    }
  }
  return result;
}

// Atoms are sizes, and so at least 0.
bool SymbolTable::never_negative(const Sum& sum) const {
  return sum.constant >= 0 &&
         std::all_of(sum.terms.begin(), sum.terms.end(), [](const Term& term) { return term.factor > 0; });
}

std::optional<Dim> SymbolTable::divide_by_number(const Sum& sum, int64_t divisor) {
  Sum quotient;
  for (const Term& term : sum.terms) {
    if (term.factor % divisor != 0) return std::nullopt;
    quotient.terms.push_back({term.atom, term.factor / divisor});
  }
  quotient.constant = floor_div(sum.constant, divisor);
  return from_sum(std::move(quotient));
}

// Exact division by an atom, where it is a factor of every term.
std::optional<Dim> SymbolTable::divide_by_symbol(const Sum& sum, Dim divisor) {
  const Sum by = expand(divisor);
  if (by.terms.size() != 1 || by.constant != 0 || sum.constant != 0 || sum.terms.empty()) return std::nullopt;
  const std::vector<Dim> divisors = factors_of(by.terms[0].atom);
  std::vector<std::pair<Dim, int64_t>> parts;
  for (const Term& term : sum.terms) {
    if (term.factor % by.terms[0].factor != 0) return std::nullopt;
    std::vector<Dim> factors = factors_of(term.atom);
    for (Dim remove : divisors) {
      const auto at = std::find(factors.begin(), factors.end(), remove);
      if (at == factors.end()) return std::nullopt;
      factors.erase(at);
    }
    Dim rest = 1;
    for (Dim factor : factors) rest = mul(rest, factor);
    parts.emplace_back(rest, term.factor / by.terms[0].factor);
  }
  Dim result = 0;
  for (const auto& [rest, factor] : parts) result = combine(result, rest, factor);
  return result;
}

Dim SymbolTable::div_floor(Dim a, Dim b) {
  if (b == 0) return fresh();
  if (is_number(a) && is_number(b)) return number(floor_div(a, b));
  if (b == 1) return a;
  if (a == b) return 1;
  if (a == 0) return 0;
  const Sum sum = expand(a);
  if (is_number(b)) {
    if (const auto quotient = divide_by_number(sum, b)) return *quotient;
    if (has(a) && entry(a).kind == Kind::DivFloor && is_number(entry(a).operands[1])) {
      const auto divisor = checked_mul(entry(a).operands[1], b);
      const Dim dividend = entry(a).operands[0];
      if (divisor && *divisor > 0 && b > 0) return div_floor(dividend, *divisor);
    }
  } else if (const auto quotient = divide_by_symbol(sum, b)) {
    return *quotient;
  }
  const Dim operands[] = {a, b};
  return call(Kind::DivFloor, "", operands);
}

Dim SymbolTable::div_ceil(Dim a, Dim b) {
  if (b == 0) return fresh();
  if (is_number(a) && is_number(b)) return number(ceil_div(a, b));
  if (is_number(b) && b > 0) return div_floor(add(a, b - 1), b);
  if (a == b) return 1;
  if (a == 0) return 0;
  if (is_symbol(b)) {
    if (const auto quotient = divide_by_symbol(expand(a), b)) return *quotient;
  }
  const Dim operands[] = {a, b};
  return call(Kind::Call, "ceil_div", operands);
}

// b - a where it is a number.
std::optional<Dim> SymbolTable::difference(Dim a, Dim b) {
  const Sum left = expand(a), right = expand(b);
  if (left.terms.size() != right.terms.size()) return std::nullopt;
  for (size_t i = 0; i < left.terms.size(); ++i)
    if (left.terms[i].atom != right.terms[i].atom || left.terms[i].factor != right.terms[i].factor) return std::nullopt;
  return checked_add(right.constant, -left.constant);
}

Dim SymbolTable::max(Dim a, Dim b) {
  if (const auto more = difference(a, b)) return *more > 0 ? b : a;
  if (is_number(a)) std::swap(a, b);
  if (is_number(b) && b <= 0 && never_negative(expand(a))) return a;
  const Dim operands[] = {std::max(a, b), std::min(a, b)};
  return call(Kind::Call, "max", operands);
}

Dim SymbolTable::min(Dim a, Dim b) {
  if (const auto more = difference(a, b)) return *more > 0 ? a : b;
  if (is_number(a)) std::swap(a, b);
  if (is_number(b) && b <= 0 && never_negative(expand(a))) return b;
  const Dim operands[] = {std::max(a, b), std::min(a, b)};
  return call(Kind::Call, "min", operands);
}

Dim SymbolTable::broadcast(Dim a, Dim b) {
  if (a == b || b == 1) return a;
  if (a == 1) return b;
  if (is_number(a) && is_number(b))
    invalid_graph("sizes " + std::to_string(a) + " and " + std::to_string(b) + " cannot be broadcast");
  // Against a number other than 1 the symbol must be 1 or that number.
  if (is_number(a)) return a;
  if (is_number(b)) return b;
  const Dim operands[] = {std::max(a, b), std::min(a, b)};
  return call(Kind::Call, "broadcast", operands);
}

Dim SymbolTable::call(Kind kind, const std::string& function, std::span<const Dim> operands) {
  Entry entry;
  entry.kind = kind;
  entry.operands.assign(operands.begin(), operands.end());
  if (kind == Kind::DivFloor) {
    entry.text = factor_text(operands[0]) + '/' + factor_text(operands[1]);
  } else {
    entry.text = function + '(';
    for (size_t i = 0; i < operands.size(); ++i) entry.text += (i > 0 ? "," : "") + name(operands[i]);
    entry.text += ')';
  }
  const std::string key = key_of(kind == Kind::DivFloor ? '/' : 'f', function, operands);
  return intern(key, std::move(entry));
}

Dim SymbolTable::call(const std::string& function, std::span<const Dim> arguments) {
  return call(Kind::Call, function, arguments);
}

std::string to_string(const Shape& shape, const SymbolTable& symbols) {
  std::string text = "[";
  for (int i = 0; i < shape.rank(); ++i) {
    if (i > 0) text += ',';
    text += symbols.name(shape[i]);
  }
  return text + ']';
}

}  // namespace fastort
