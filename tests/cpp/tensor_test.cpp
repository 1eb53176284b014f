#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "tensor/tensor.h"
#include "tensor/value.h"

namespace fastort {
namespace {

// The definition of a half, in double arithmetic.
double half_value(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, fraction = bits & 0x3ff;
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == 31) return fraction ? std::numeric_limits<double>::quiet_NaN() : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

TEST_CASE("every float16 is converted to float exactly and back") {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const Float16 half{static_cast<uint16_t>(bits)};
    const double want = half_value(half.bits);
    const float got = to_float(half);
    if (std::isnan(want)) {
      CHECK(std::isnan(got));
      CHECK(std::isnan(to_float(to_float16(got))));
      CHECK((to_float16(got).bits & 0x8000) == (half.bits & 0x8000));
      continue;
    }
    if (static_cast<double>(got) != want || std::signbit(got) != std::signbit(want) ||
        to_float16(got).bits != half.bits) {
      FAIL("float16 bits " << bits);
    }
  }
}

TEST_CASE("floats round to the nearest float16, ties to even") {
  // Every pair of neighbouring finite halves: their middle, and the floats next to it.
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const auto low = static_cast<uint16_t>(bits), high = static_cast<uint16_t>(bits + 1);
    const double top = bits == 0x7bff ? 65536.0 : half_value(high);
    const auto middle = static_cast<float>((half_value(low) + top) / 2);
    const uint16_t even = low & 1 ? high : low;
    const bool ok = to_float16(middle).bits == even && to_float16(std::nextafter(middle, 0.0f)).bits == low &&
                    to_float16(std::nextafter(middle, INFINITY)).bits == high &&
                    to_float16(-middle).bits == (even | 0x8000);
    if (!ok) FAIL("above float16 bits " << bits);
  }
  CHECK(to_float16(65519.996f).bits == 0x7bff);
  CHECK(to_float16(65520.0f).bits == 0x7c00);
  CHECK(to_float16(INFINITY).bits == 0x7c00);
  CHECK(to_float16(-1e30f).bits == 0xfc00);
  CHECK(to_float16(-0.0f).bits == 0x8000);
  CHECK(to_float16(std::numeric_limits<float>::denorm_min()).bits == 0);
}

TEST_CASE("bfloat16 rounds to nearest even and keeps NaN") {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const BFloat16 value{static_cast<uint16_t>(bits)};
    const float exact = to_float(value);
    if (std::isnan(exact)) {
      CHECK(std::isnan(to_float(to_bfloat16(exact))));
      continue;
    }
    if (to_bfloat16(exact).bits != value.bits) FAIL("bfloat16 bits " << bits);
    if (std::isinf(exact)) continue;
    const float middle = std::bit_cast<float>(bits << 16 | 0x8000u);
    const auto even = static_cast<uint16_t>(bits & 1 ? bits + 1 : bits);
    if (to_bfloat16(middle).bits != even) FAIL("above bfloat16 bits " << bits);
    if (to_bfloat16(std::bit_cast<float>(bits << 16 | 0x7fffu)).bits != bits) FAIL("below the middle " << bits);
    if (to_bfloat16(std::bit_cast<float>(bits << 16 | 0x8001u)).bits != bits + 1) FAIL("above the middle " << bits);
  }
  // A NaN whose payload lies in the lower half alone must not become an infinity.
  CHECK(std::isnan(to_float(to_bfloat16(std::bit_cast<float>(0x7f800001u)))));
}

TEST_CASE("element types") {
  CHECK(name(DataType::Float) == "float");
  CHECK(name(DataType::Int2) == "int2");
  CHECK(element_size(DataType::String) == sizeof(std::string));
  CHECK(element_size(DataType::Complex128) == 16);
  CHECK(packed_bits(DataType::UInt4) == 4);
  CHECK(element_size(DataType::UInt4) == 1);
  CHECK(is_integer(DataType::UInt64));
  CHECK_FALSE(is_integer(DataType::Bool));
  CHECK(is_float(DataType::Float8E8M0));
  CHECK(element_size(static_cast<DataType>(200)) == 0);
}

TEST_CASE("shapes") {
  CHECK(to_string(Shape{1, 3, 224, 224}) == "[1,3,224,224]");
  CHECK(to_string(Shape{}) == "[]");
  CHECK(Shape{}.count() == 1);
  CHECK(checked_count(Shape{2, 3}) == 6);
  CHECK(checked_count(Shape{0, 3}) == 0);
  CHECK(checked_count(Shape{}) == 1);
  CHECK_FALSE(checked_count(Shape{int64_t{1} << 40, int64_t{1} << 40}));
  CHECK_FALSE(checked_count(Shape{0, int64_t{1} << 40, int64_t{1} << 40}));
  CHECK_FALSE(checked_count(Shape{std::numeric_limits<int64_t>::max()}));
  CHECK_FALSE(checked_count(Shape{2, kFirstSymbol}));
  CHECK_FALSE(checked_count(Shape{2, -1}));
  CHECK(contiguous_strides(Shape{2, 3, 4}) == Shape{12, 4, 1});
  CHECK(physical_count(Shape{2, 3, 4, 5}, Layout::C8) == 2 * 8 * 20);
  CHECK(physical_count(Shape{2, 17, 4}, Layout::C16) == 2 * 32 * 4);
  CHECK(physical_count(Shape{2, 3}, Layout::C8) == 6);
}

TEST_CASE("buffers") {
  const auto owned = Buffer::allocate(100);
  CHECK(reinterpret_cast<uintptr_t>(owned->data()) % kAlignment == 0);
  CHECK_FALSE(owned->borrowed());
  CHECK(Buffer::allocate(0)->data() != nullptr);
  CHECK_THROWS_AS(Buffer::allocate(std::numeric_limits<size_t>::max() - 10), Error);
  CHECK_THROWS_AS(Buffer::allocate(size_t{1} << 60), Error);
  int released = 0;
  char memory[64];
  CHECK(Buffer::wrap(memory, sizeof(memory))->borrowed());
  {
    const auto lent = Buffer::wrap(memory, sizeof(memory), [&] { ++released; });
    CHECK_FALSE(lent->borrowed());
    const Tensor view(DataType::Float, Shape{4}, lent, 16);
    CHECK(view.raw() == lent->data() + 16);
    CHECK(released == 0);
  }
  CHECK(released == 1);
}

TEST_CASE("tensors") {
  const std::vector<int64_t> items{1, 2, 3};
  const Tensor tensor = Tensor::vector<int64_t>(items);
  CHECK(tensor.shape() == Shape{3});
  CHECK(to_int64s(tensor).size() == 3);
  CHECK(to_int64s(Tensor::scalar<int32_t>(-7))[0] == -7);
  CHECK_THROWS_AS(to_int64s(Tensor::scalar<float>(1)), Error);
  CHECK(describe(Tensor(DataType::Float16, Shape{2, 0})) == "float16[2,0]");
  const Tensor view = tensor.reshaped(Shape{3, 1});
  CHECK(view.raw() == tensor.raw());
  CHECK_THROWS_AS(tensor.reshaped(Shape{2}), Error);
  const Tensor copy = tensor.clone();
  CHECK(copy.raw() != tensor.raw());
  CHECK(std::memcmp(copy.raw(), tensor.raw(), tensor.bytes()) == 0);
  CHECK_THROWS_AS(Tensor(DataType::Float, Shape{5}, Buffer::allocate(16)), Error);
  CHECK_THROWS_AS(Tensor(DataType::Float, Shape{1}, Buffer::allocate(16), 100), Error);
  CHECK_THROWS_AS(Tensor(DataType::Float, Shape{int64_t{1} << 50, int64_t{1} << 50}), Error);
  CHECK_THROWS_AS(Tensor(DataType::Double, Shape{int64_t{1} << 61}), Error);
  CHECK_THROWS_AS(Tensor(DataType::Float, Shape{-1}), Error);
  CHECK_THROWS_AS(Tensor(DataType::Undefined, Shape{1}), Error);
}

TEST_CASE("string tensors own their strings") {
  Tensor copy;
  {
    Tensor strings(DataType::String, Shape{2, 2});
    CHECK(strings.strings()[3].empty());
    strings.data<std::string>()[0] = std::string(1000, 'x');
    const Tensor second = strings;
    copy = strings.clone();
    strings.data<std::string>()[0] = "changed";
    CHECK(second.strings()[0] == "changed");
  }
  CHECK(copy.strings()[0].size() == 1000);
  CHECK(Tensor(DataType::String, Shape{0}).count() == 0);
}

TEST_CASE("types are spelt as ONNX Runtime spells them") {
  CHECK(type_string(ValueType::tensor(DataType::Float)) == "tensor(float)");
  CHECK(type_string(ValueType::tensor(DataType::Float16, Shape{1})) == "tensor(float16)");
  CHECK(type_string(ValueType::tensor(DataType::Double)) == "tensor(double)");
  CHECK(type_string(ValueType::sequence(ValueType::tensor(DataType::Float))) == "seq(tensor(float))");
  CHECK(type_string(ValueType::optional(ValueType::tensor(DataType::Float))) == "optional(tensor(float))");
  const auto inner = std::make_shared<ValueType>(ValueType::tensor(DataType::Float));
  CHECK(type_string({ValueKind::Map, DataType::Int64, false, {}, inner}) == "map(int64,tensor(float))");
  CHECK(type_string({ValueKind::SparseTensor, DataType::Float, false, {}, nullptr}) == "sparse_tensor(float)");
}

TEST_CASE("the buffer pool hands blocks out again, within its bound") {
  BufferPool pool(4096);
  size_t capacity = 0;
  for (size_t bytes = 0; bytes < 5000; ++bytes) {
    void* data = pool.take(bytes, &capacity);
    CHECK(capacity >= bytes);
    CHECK(capacity <= std::max<size_t>(64, bytes + bytes / 4 + 1));
    CHECK(reinterpret_cast<uintptr_t>(data) % kAlignment == 0);
    pool.give(data, capacity);
    CHECK(pool.idle_bytes() <= 4096);
  }
  pool.trim();
  CHECK(pool.idle_bytes() == 0);
  void* first = pool.take(1000, &capacity);
  pool.give(first, capacity);
  CHECK(pool.idle_bytes() == capacity);
  size_t again = 0;
  CHECK(pool.take(1001, &again) == first);
  CHECK(again == capacity);
  CHECK(pool.idle_bytes() == 0);
  pool.give(first, capacity);
  CHECK(pool.trim() == capacity);
  CHECK_THROWS_AS(pool.take(size_t{1} << 60, &capacity), Error);
}

TEST_CASE("the buffer pool gives no block to two threads") {
  BufferPool pool(1 << 20);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < 5000; ++round) {
        size_t capacity = 0;
        auto* data = static_cast<int*>(pool.take(static_cast<size_t>(64 + round % 400), &capacity));
        *data = thread;
        if (round % 64 == 0) std::this_thread::yield();
        if (*data != thread) wrong.fetch_add(1);
        pool.give(data, capacity);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong.load() == 0);
  CHECK(pool.idle_bytes() <= size_t{1} << 20);
}

}  // namespace
}  // namespace fastort
