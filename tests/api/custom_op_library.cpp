// Operators for tests/api/test_custom_ops.py: what a library of users' own looks like.
#include <cmath>

#include "fastort/custom_op.h"

namespace {

using fastort_custom::Call;

// y = x * factor + offset, for float and double; on the session's threads.
struct Affine {
  static void infer(const Call& call) {
    const FastortTensor x = call.input(0);
    if (x.rank == FASTORT_UNKNOWN_RANK)
      call.output_of_unknown_rank(0, x.type);
    else
      call.output(0, x.type, call.shape(0));
  }
  static void compute(const Call& call) {
    if (call.input(0).type == FASTORT_DOUBLE)
      run<double>(call);
    else
      run<float>(call);
  }
  template <class T>
  static void run(const Call& call) {
    const T* x = call.data<T>(0);
    const std::vector<int64_t> dims = call.shape(0);
    int64_t count = 1;
    for (int64_t size : dims) count *= size;
    T* y = call.output<T>(0, dims);
    const float factor = call.attribute("factor", 1.0f);
    const int64_t offset = call.attribute("offset", int64_t{0});
    call.parallel_for(count, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) y[i] = x[i] * static_cast<T>(factor) + static_cast<T>(offset);
    });
  }
};

// The items above a limit and where they stand: shapes that depend on the data, two outputs.
struct Above {
  static void infer(const Call& call) {
    call.output(0, FASTORT_FLOAT, {FASTORT_UNKNOWN_SIZE});
    call.output(1, FASTORT_INT64, {FASTORT_UNKNOWN_SIZE});
  }
  static void compute(const Call& call) {
    const float* x = call.data<float>(0);
    const float* limit = call.data<float>(1);
    std::vector<int64_t> places;
    const int64_t count = call.shape(0).at(0);
    for (int64_t i = 0; i < count; ++i)
      if (x[i] > *limit) places.push_back(i);
    const auto found = static_cast<int64_t>(places.size());
    float* values = call.output<float>(0, {found});
    int64_t* indices = call.output<int64_t>(1, {found});
    for (int64_t i = 0; i < found; ++i) {
      values[i] = x[places[static_cast<size_t>(i)]];
      indices[i] = places[static_cast<size_t>(i)];
    }
  }
};

// Refuses, in the way that its attribute says.
struct Refuse {
  static void infer(const Call& call) {
    if (call.attribute("when", std::string("compute")) == "infer") throw std::runtime_error("not with these types");
    call.output(0, FASTORT_FLOAT, call.shape(0));
  }
  static void compute(const Call& call) {
    const std::string when = call.attribute("when", std::string("compute"));
    if (when == "type") call.data<int64_t>(0);
    if (when == "index") call.input(7);
    if (when == "shape") call.output<float>(0, {-5});
    if (when == "silent") return;
    throw std::runtime_error("not with these values");
  }
};

// In plain C: the sum of `weights`, a list in the attributes, times the input.
int weigh(const FastortApi* api, FastortCall* call, void* user) {
  FastortTensor x;
  if (api->input(call, 0, &x)) return 1;
  const float* weights = nullptr;
  int64_t count = 0;
  if (api->attribute_floats(call, "weights", &weights, &count)) return api->fail(call, "weights are missing");
  float sum = *static_cast<const float*>(user);
  for (int64_t i = 0; i < count; ++i) sum += weights[i];
  float* y = static_cast<float*>(api->output(call, 0, FASTORT_FLOAT, x.dims, x.rank));
  if (!y) return 1;
  int64_t items = 1;
  for (int32_t i = 0; i < x.rank; ++i) items *= x.dims[i];
  for (int64_t i = 0; i < items; ++i) y[i] = static_cast<const float*>(x.data)[i] * sum;
  return 0;
}

float nothing = 0;

}  // namespace

extern "C" FASTORT_EXPORT int fastort_register_ops(const FastortApi* api, FastortRegistry* registry) {
  if (api->version < FASTORT_CUSTOM_OP_VERSION) return 1;
  FastortOp plain{};
  plain.size = sizeof(plain);
  plain.domain = "test.ops";
  plain.name = "Weigh";
  plain.user = &nothing;
  plain.compute = weigh;  // no `infer`: the output is like the input
  return fastort_custom::register_op<Affine>(api, registry, "test.ops", "Affine") ||
         fastort_custom::register_op<Above>(api, registry, "test.ops", "Above") ||
         fastort_custom::register_op<Refuse>(api, registry, "test.ops", "Refuse") || api->register_op(registry, &plain);
}
