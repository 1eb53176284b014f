#include "tensor/deferred.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <thread>
#include <vector>

namespace fastort {
namespace {

// A tensor of 64 KB whose items are 0, 1, 2, ..., and how often it was computed.
struct Counted {
  int computed = 0;
  Tensor make() {
    ++computed;
    Tensor tensor(DataType::Float, Shape{16384});
    for (int i = 0; i < 16384; ++i) tensor.data<float>()[i] = static_cast<float>(i);
    return tensor;
  }
  Tensor tensor() {
    return deferred(DataType::Float, Shape{16384}, [this] { return make(); });
  }
};

TEST_CASE("Deferred contents are computed when they are read, and again when they were given up") {
  Counted counted;
  const Tensor tensor = counted.tensor();
  CHECK(tensor.bytes() == 65536);
  CHECK(counted.computed == 0);
  {
    const ReadScope scope;
    CHECK(tensor.data<float>()[7] == 7);
    CHECK(tensor.reshaped(Shape{128, 128}).data<float>()[16383] == 16383);
    CHECK(counted.computed == 1);
  }
  {
    const ReadScope scope;
    CHECK(tensor.data<float>()[7] == 7);
    CHECK(counted.computed == 2);
  }
}

TEST_CASE("An address read outside of a scope stays good") {
  Counted counted;
  const Tensor tensor = counted.tensor();
  const float* const data = tensor.data<float>();
  tensor.give_up();
  CHECK(tensor.data<float>() == data);
  CHECK(data[100] == 100);
  CHECK(counted.computed == 1);
}

TEST_CASE("Who holds deferred contents keeps them, and others read the same memory") {
  Counted counted;
  const Tensor tensor = counted.tensor();
  Tensor held = tensor.held();
  tensor.give_up();
  {
    const ReadScope scope;
    CHECK(tensor.raw() == held.raw());
  }
  CHECK(tensor.clone().data<float>()[5] == 5);
  CHECK(counted.computed == 1);
  held = Tensor();
  CHECK(tensor.clone().data<float>()[5] == 5);
  CHECK(counted.computed == 2);
}

TEST_CASE("Contents that are there already are kept until they are given up") {
  Counted counted;
  const Tensor tensor = deferred(counted.make(), [&] { return counted.make(); });
  {
    const ReadScope scope;
    CHECK(tensor.data<float>()[3] == 3);
  }
  CHECK(counted.computed == 1);
  tensor.give_up();
  {
    const ReadScope scope;
    CHECK(tensor.data<float>()[3] == 3);
  }
  CHECK(counted.computed == 2);
}

TEST_CASE("Small results and views are not deferred") {
  int computed = 0;
  const std::array<float, 2> items{1, 2};
  const Tensor small = deferred(Tensor::vector<float>(items), [&] { return ++computed, Tensor(); });
  CHECK(small.data<float>()[1] == 2);
  const Tensor whole(DataType::Float, Shape{2, 16384});
  const Tensor half(DataType::Float, Shape{16384}, whole.buffer(), 65536);
  const Tensor view = deferred(half, [&] { return ++computed, Tensor(); });
  CHECK(view.raw() == half.raw());
  CHECK(computed == 0);
}

TEST_CASE("A copy of unaligned bytes reads them when it is needed") {
  std::vector<std::byte> bytes(8193);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  const auto lender = Buffer::wrap(bytes.data(), bytes.size(), [] {});
  const Tensor tensor(DataType::Float, Shape{2048}, DeferredBuffer::copy_of(std::span(bytes).subspan(1), lender));
  CHECK(tensor.source() == bytes.data() + 1);
  const Tensor held = tensor.held();
  CHECK(reinterpret_cast<uintptr_t>(held.raw()) % kAlignment == 0);
  CHECK(std::memcmp(held.raw(), bytes.data() + 1, 8192) == 0);
}

TEST_CASE("Many threads read and give up the same contents") {
  Counted counted;
  const Tensor tensor = counted.tensor();
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const ReadScope scope;
        const float* const data = tensor.data<float>();
        wrong[t] += data[i] != static_cast<float>(i) || data[16383] != 16383;
        tensor.give_up();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(std::count(wrong.begin(), wrong.end(), 0) == 4);
}

}  // namespace
}  // namespace fastort
