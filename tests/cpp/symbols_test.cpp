#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "base/error.h"
#include "graph/symbols.h"

namespace fastort {
namespace {

TEST_CASE("symbols have names and are told apart") {
  SymbolTable table;
  const Dim batch = table.named("batch"), seq = table.named("seq");
  CHECK(is_symbol(batch));
  CHECK(batch == kFirstSymbol);
  CHECK(seq == kFirstSymbol - 1);
  CHECK(table.named("batch") == batch);
  CHECK(batch != seq);
  CHECK(table.is_named(batch));
  const Dim unknown = table.fresh();
  CHECK(unknown != table.fresh());
  CHECK_FALSE(table.is_named(unknown));
  CHECK(table.is_unknown(unknown));
  CHECK_FALSE(table.is_unknown(batch));
  CHECK(table.name(batch) == "batch");
  CHECK(table.name(unknown) == "?2");
  CHECK(table.name(7) == "7");
  CHECK(to_string(Shape{batch, 3, table.add(seq, 1)}, table) == "[batch,3,seq+1]");
  CHECK(table.name(kFirstSymbol - 1000) == "?");
}

TEST_CASE("known sizes are computed") {
  SymbolTable table;
  CHECK(table.add(2, 3) == 5);
  CHECK(table.sub(2, 3) == -1);
  CHECK(table.mul(4, 5) == 20);
  CHECK(table.div_floor(7, 2) == 3);
  CHECK(table.div_floor(-7, 2) == -4);
  CHECK(table.div_ceil(7, 2) == 4);
  CHECK(table.max(2, 9) == 9);
  CHECK(table.min(2, 9) == 2);
  CHECK(table.broadcast(1, 9) == 9);
  CHECK_THROWS_AS(table.broadcast(2, 9), Error);
  CHECK(is_symbol(table.div_floor(7, 0)));
  CHECK(is_symbol(table.mul(int64_t{1} << 50, int64_t{1} << 50)));
  CHECK(is_symbol(table.mul(-(int64_t{1} << 30), int64_t{1} << 30)));
}

TEST_CASE("equal expressions are equal symbols") {
  SymbolTable table;
  const Dim a = table.named("a"), b = table.named("b");
  CHECK(table.add(a, b) == table.add(b, a));
  CHECK(table.mul(a, b) == table.mul(b, a));
  CHECK(table.add(table.add(a, 1), b) == table.add(table.add(b, a), 1));
  CHECK(table.max(a, b) == table.max(b, a));
  CHECK(table.broadcast(a, b) == table.broadcast(b, a));
  CHECK(table.mul(table.add(a, 1), b) == table.add(table.mul(a, b), b));
  CHECK(table.mul(table.add(a, 2), table.add(a, -2)) == table.sub(table.mul(a, a), 4));
  CHECK(table.mul(table.mul(a, b), a) == table.mul(a, table.mul(a, b)));
  CHECK(table.add(a, b) != table.mul(a, b));
  CHECK(table.div_floor(a, b) != table.div_floor(b, a));
}

TEST_CASE("expressions become simpler") {
  SymbolTable table;
  const Dim a = table.named("a"), b = table.named("b");
  CHECK(table.add(a, 0) == a);
  CHECK(table.mul(a, 1) == a);
  CHECK(table.mul(a, 0) == 0);
  CHECK(table.sub(a, a) == 0);
  CHECK(table.sub(table.add(a, 1), 1) == a);
  CHECK(table.add(table.sub(a, b), b) == a);
  CHECK(table.div_floor(table.mul(a, 6), 6) == a);
  CHECK(table.div_floor(table.mul(a, b), b) == a);
  CHECK(table.div_floor(table.mul(table.mul(a, b), 4), table.mul(b, 2)) == table.mul(a, 2));
  CHECK(table.div_floor(table.add(table.mul(a, 2), 3), 2) == table.add(a, 1));
  CHECK(table.div_floor(a, a) == 1);
  CHECK(table.div_floor(table.div_floor(a, 2), 3) == table.div_floor(a, 6));
  CHECK(table.div_ceil(table.mul(a, 4), 4) == a);
  CHECK(table.div_ceil(a, 2) == table.div_floor(table.add(a, 1), 2));
  CHECK(table.max(a, 0) == a);
  CHECK(table.min(a, 0) == 0);
  CHECK(table.max(a, table.add(a, 2)) == table.add(a, 2));
  CHECK(table.min(a, table.add(a, 2)) == a);
  CHECK(table.broadcast(a, 1) == a);
  CHECK(table.broadcast(1, a) == a);
  CHECK(table.broadcast(a, 7) == 7);
  CHECK(table.broadcast(a, a) == a);
}

TEST_CASE("a convolution that keeps the size keeps the symbol") {
  SymbolTable table;
  const Dim height = table.named("height");
  // (height + 2 * 1 - 3) / 1 + 1
  CHECK(table.add(table.div_floor(table.sub(table.add(height, 2), 3), 1), 1) == height);
}

TEST_CASE("expressions stay bounded") {
  SymbolTable table;
  Dim grown = table.named("x");
  for (int i = 0; i < 200; ++i) grown = table.max(grown, table.div_floor(table.mul(grown, 3), 2));
  CHECK(table.name(grown).size() < 400);
  Dim sum = 0;
  for (int i = 0; i < 500; ++i) sum = table.add(sum, table.named("s" + std::to_string(i)));
  CHECK(is_symbol(sum));
  Dim power = table.named("y");
  for (int i = 0; i < 100; ++i) power = table.mul(power, table.add(power, table.named("z")));
  CHECK(is_symbol(power));
  Dim big = table.named("w");
  for (int i = 0; i < 100; ++i) big = table.mul(big, -1000);
  for (int i = 0; i < 100; ++i) big = table.div_floor(table.add(big, table.mul(big, big)), -1);
  CHECK(is_symbol(big));
}

TEST_CASE("calls are told apart by function and arguments") {
  SymbolTable table;
  const Dim a = table.named("a");
  const Dim one[] = {a}, two[] = {a, 2};
  CHECK(table.call("f", one) == table.call("f", one));
  CHECK(table.call("f", one) != table.call("g", one));
  CHECK(table.call("f", one) != table.call("f", two));
  CHECK(table.name(table.call("f", two)) == "f(a,2)");
}

}  // namespace
}  // namespace fastort
