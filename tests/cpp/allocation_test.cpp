// The sanitizers bring allocators of their own.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "onnx/save.h"
#include "runtime/session.h"

// Counts the calls of the allocator on every thread, oneDNN's own apart: its entry is wrapped by the linker
// (-Wl,--wrap=dnnl_primitive_execute).
namespace {

std::atomic<bool> counting{false};
std::atomic<int> ours{0};
std::atomic<int> onednns{0};
thread_local int inside_onednn = 0;

void* counted(std::size_t bytes, std::size_t alignment) {
  if (counting.load(std::memory_order_relaxed)) ++(inside_onednn ? onednns : ours);
  void* data = alignment > alignof(std::max_align_t)
                   ? std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment)
                   : std::malloc(bytes ? bytes : 1);
  if (!data) throw std::bad_alloc();
  return data;
}

}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes, 0); }
void* operator new[](std::size_t bytes) { return counted(bytes, 0); }
void* operator new(std::size_t bytes, std::align_val_t alignment) { return counted(bytes, std::size_t(alignment)); }
void* operator new[](std::size_t bytes, std::align_val_t alignment) { return counted(bytes, std::size_t(alignment)); }
void operator delete(void* data) noexcept { std::free(data); }
void operator delete[](void* data) noexcept { std::free(data); }
void operator delete(void* data, std::size_t) noexcept { std::free(data); }
void operator delete[](void* data, std::size_t) noexcept { std::free(data); }
void operator delete(void* data, std::align_val_t) noexcept { std::free(data); }
void operator delete[](void* data, std::align_val_t) noexcept { std::free(data); }
void operator delete(void* data, std::size_t, std::align_val_t) noexcept { std::free(data); }
void operator delete[](void* data, std::size_t, std::align_val_t) noexcept { std::free(data); }

extern "C" int __real_dnnl_primitive_execute(const void*, void*, int, const void*);
extern "C" int __wrap_dnnl_primitive_execute(const void* primitive, void* stream, int count, const void* args) {
  ++inside_onednn;
  const int status = __real_dnnl_primitive_execute(primitive, stream, count, args);
  --inside_onednn;
  return status;
}

namespace fastort {
namespace {

Tensor filled(Shape shape, float scale) {
  Tensor tensor(DataType::Float, std::move(shape));
  for (int64_t i = 0; i < tensor.count(); ++i) tensor.data<float>()[i] = scale * static_cast<float>(i % 17 - 8);
  return tensor;
}

Node node(std::string op, std::vector<ValueId> inputs, std::vector<ValueId> outputs) {
  Node made;
  made.op_type = std::move(op);
  made.inputs = std::move(inputs);
  made.outputs = std::move(outputs);
  return made;
}

// Two convolutions with a residual, pooling, a classifier and a softmax.
Model small_cnn() {
  Model model;
  model.info.ir_version = 10;
  model.info.opsets[""] = 21;
  model.graph = std::make_shared<Graph>();
  Graph& graph = *model.graph;
  graph.name = "small";
  const ValueId x = graph.add_value("x", ValueType::tensor(DataType::Float, Shape{1, 3, 32, 32}));
  graph.inputs = {x};
  auto value = [&](const char* name) { return graph.add_value(name); };
  auto conv = [&](ValueId in, Shape weight, const char* name) {
    const int64_t kernel = weight[2];
    Node made = node("Conv", {in, graph.add_constant(std::string(name) + "_w", filled(std::move(weight), 0.01f))},
                     {value(name)});
    made.attributes.set("pads", std::vector<int64_t>(4, kernel / 2));
    graph.nodes.push_back(made);
    return made.outputs[0];
  };
  auto append = [&](const char* op, std::vector<ValueId> inputs, const char* name) {
    graph.nodes.push_back(node(op, std::move(inputs), {value(name)}));
    return graph.nodes.back().outputs[0];
  };
  const ValueId a = append("Relu", {conv(x, {16, 3, 3, 3}, "a")}, "a_relu");
  const ValueId b = append("Add", {conv(a, {16, 16, 3, 3}, "b"), a}, "sum");
  const ValueId c = append("Relu", {conv(b, {32, 16, 1, 1}, "c")}, "c_relu");
  const ValueId pooled = append("GlobalAveragePool", {c}, "pooled");
  const ValueId flat = append("Flatten", {pooled}, "flat");
  const ValueId logits = append("MatMul", {flat, graph.add_constant("w", filled({32, 10}, 0.1f))}, "logits");
  const ValueId y = append("Softmax", {logits}, "y");
  graph.value(y).type = ValueType::tensor(DataType::Float, Shape{1, 10});
  graph.outputs = {y};
  return model;
}

}  // namespace

TEST_CASE("a steady-state run calls the allocator for its outputs only") {
  const std::string bytes = save_model_bytes(small_cnn());
  SessionOptions options;
  auto session = Session::from_bytes(std::as_bytes(std::span(bytes)), nullptr, options);
  const Value feed = filled({1, 3, 32, 32}, 0.1f);
  const int first[] = {0};
  Value results[1];
  for (int i = 0; i < 3; ++i) {
    results[0] = Value();
    session->run(first, std::span(&feed, 1), first, results, nullptr);
  }
  const Value bound = results[0];

  constexpr int kRuns = 50;
  auto count = [&](bool bind) {
    ours = 0;
    onednns = 0;
    for (int i = 0; i < kRuns; ++i) {
      results[0] = bind ? bound : Value();
      counting = true;
      session->run(first, std::span(&feed, 1), first, results, nullptr);
      counting = false;
    }
    return ours.load();
  };
  CHECK(count(true) == 0);
  // The buffer's own record; the memory comes from the pool.
  CHECK(count(false) <= 2 * kRuns);
  MESSAGE("oneDNN's own allocations per run: " << onednns.load() / kRuns);
}

}  // namespace fastort

#else

#include <cstddef>

extern "C" int __real_dnnl_primitive_execute(const void*, void*, int, const void*);
extern "C" int __wrap_dnnl_primitive_execute(const void* primitive, void* stream, int count, const void* args) {
  return __real_dnnl_primitive_execute(primitive, stream, count, args);
}

#endif
