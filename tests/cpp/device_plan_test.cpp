// How a plan is cut into what the CPU and what a device runs, and that a device gives its memory back.
#include <doctest/doctest.h>

#include <cmath>

#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/gpu/gemm.h"
#include "plan/device_part.h"
#include "plan/placement.h"
#include "runtime/devices.h"

#ifndef FASTORT_NO_VULKAN
#include "providers/vulkan/provider.h"
#endif

namespace fastort {
namespace {

int changes(std::span<const PlacedNode> nodes, std::span<const int> order) {
  int count = 0;
  for (size_t i = 1; i < order.size(); ++i)
    count += nodes[static_cast<size_t>(order[i])].on_device != nodes[static_cast<size_t>(order[i - 1])].on_device;
  return count;
}

TEST_CASE("independent nodes of one place stand together") {
  // Two chains that take turns in the graph: CPU, device, CPU, device.
  const PlacedNode nodes[] = {{false, {}}, {true, {}}, {false, {0}}, {true, {1}}, {false, {2}}, {true, {3}}};
  const auto order = order_by_place(nodes);
  CHECK(order.size() == 6);
  CHECK(changes(nodes, order) == 1);
}

TEST_CASE("a node stands behind what it needs") {
  const PlacedNode nodes[] = {{true, {}}, {false, {0}}, {true, {1}}, {true, {0}}, {false, {}}, {true, {2, 3, 4}}};
  const auto order = order_by_place(nodes);
  REQUIRE(order.size() == 6);
  std::vector<size_t> at(6);
  for (size_t i = 0; i < order.size(); ++i) at[static_cast<size_t>(order[i])] = i;
  for (size_t i = 0; i < 6; ++i)
    for (const int need : nodes[i].needs) CHECK(at[static_cast<size_t>(need)] < at[i]);
  // CPU, device, CPU, device.
  CHECK(changes(nodes, order) == 3);
}

TEST_CASE("tensors of a device share memory where their lives do not meet") {
  DevicePart part;
  part.begin_segment();
  std::vector<DeviceOperand> chain{part.add_tensor(1000)};
  part.upload(chain.back());
  for (int i = 0; i < 4; ++i) {
    const DeviceOperand next = part.add_tensor(1000);
    GpuWork work;
    work.dispatch("copy").operands = {GpuWork::input(0), GpuWork::output(0)};
    const DeviceOperand inputs[] = {chain.back()}, outputs[] = {next};
    part.add_work(i, "node", std::move(work), inputs, outputs);
    chain.push_back(next);
  }
  part.download(chain.back());
  part.end_segment();
  const DevicePlan plan = part.finish();
  CHECK(plan.arena_bytes == 2 * 1024);
  for (size_t i = 0; i + 1 < plan.tensors.size(); ++i) CHECK(plan.tensors[i].offset != plan.tensors[i + 1].offset);
}

TEST_CASE("what the host reads at the end of a segment is not written over") {
  DevicePart part;
  part.begin_segment();
  const DeviceOperand first = part.add_tensor(512);
  GpuWork make;
  make.dispatch("copy").operands = {GpuWork::output(0)};
  const DeviceOperand made[] = {first};
  part.add_work(0, "node", std::move(make), {}, made);
  part.download(first);
  const DeviceOperand second = part.add_tensor(512);
  GpuWork other;
  other.dispatch("copy").operands = {GpuWork::output(0)};
  const DeviceOperand others[] = {second};
  part.add_work(1, "node", std::move(other), {}, others);
  part.end_segment();
  const DevicePlan plan = part.finish();
  CHECK(plan.tensors[0].offset != plan.tensors[1].offset);
}

TEST_CASE("numbers beyond 32 bits are refused") {
  CHECK_THROWS_AS(GpuPush().u32(int64_t{1} << 32), Error);
  CHECK_THROWS_AS(GpuPush().u32(-1), Error);
  CHECK_THROWS_AS(groups_for(int64_t{1} << 50, 64, GpuTraits{}), Error);
  const auto groups = groups_for(int64_t{10'000'000} * 64, 64, GpuTraits{});
  CHECK(int64_t{groups[0]} * groups[1] >= 10'000'000);
  CHECK(groups[0] <= 65535);
}

#ifndef FASTORT_NO_VULKAN

// A product of two matrices on the device, against plain loops; what is held by the device afterwards.
void run_product(const ProviderOptions& options) {
  const auto provider = vulkan::make_provider(options);
  constexpr int64_t m = 37, n = 301, k = 19;
  std::vector<float> a(m * k), b(k * n), c(m * n);
  for (size_t i = 0; i < a.size(); ++i) a[i] = std::sin(static_cast<float>(i));
  for (size_t i = 0; i < b.size(); ++i) b[i] = std::cos(static_cast<float>(i));
  DevicePart part;
  part.begin_segment();
  const DeviceOperand ta = part.add_tensor(a.size() * sizeof(float)), tb = part.add_tensor(b.size() * sizeof(float));
  part.upload(ta);
  part.upload(tb);
  const DeviceOperand tc = part.add_tensor(c.size() * sizeof(float));
  gpu::Gemm gemm;
  gemm.m = m;
  gemm.n = n;
  gemm.k = k;
  gemm.a_row = k;
  gemm.b_step = n;
  gemm.a_offsets = gemm.b_offsets = {0};
  gemm.a = GpuWork::input(0);
  gemm.b = GpuWork::input(1);
  gemm.result = GpuWork::output(0);
  // Both kinds of kernels, whatever suits the device.
  for (const bool slow_shared : {false, true}) {
    GpuTraits traits = provider->traits();
    traits.slow_shared = slow_shared;
    GpuWork work;
    REQUIRE(!add_gemm(gemm, traits, work));
    const DeviceOperand inputs[] = {ta, tb}, outputs[] = {tc};
    part.add_work(0, "product", std::move(work), inputs, outputs);
  }
  part.download(tc);
  part.end_segment();
  auto kernels = provider->compile(part.finish());
  REQUIRE(kernels.size() == 1);
  auto state = kernels[0]->make_state();
  std::byte* pointers[] = {reinterpret_cast<std::byte*>(a.data()), reinterpret_cast<std::byte*>(b.data()),
                           reinterpret_cast<std::byte*>(c.data())};
  const Parallel parallel(ThreadPool::instance(), 1);
  for (int run = 0; run < 3; ++run) {
    std::fill(c.begin(), c.end(), 0.0f);
    kernels[0]->run({pointers, 2, nullptr, state.get(), parallel, nullptr});
    double worst = 0;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t l = 0; l < k; ++l)
          sum += static_cast<double>(a[static_cast<size_t>(i * k + l)]) * b[static_cast<size_t>(l * n + j)];
        worst = std::max(worst, std::abs(sum - c[static_cast<size_t>(i * n + j)]));
      }
    }
    CHECK(worst < 1e-5);
  }
  CHECK(provider->memory().pieces > 0);
  state.reset();
  kernels.clear();
  provider->trim();
  CHECK(provider->memory().pieces == 0);
}

TEST_CASE("a device computes, and gives its memory back") {
  ProviderOptions options{{"allow_cpu", "1"}, {"cache_dir", "off"}};
  if (const std::string refusal = vulkan_refusal(options); !refusal.empty()) {
    MESSAGE("skipped: " << refusal);
    return;
  }
  run_product(options);
  options["always_stage"] = "1";
  run_product(options);
}

#endif

}  // namespace
}  // namespace fastort
