#include "passes/pipeline.h"

#include <chrono>

#include "passes/passes.h"
#include "passes/rewrite.h"
#include "tensor/deferred.h"

namespace fastort {
namespace {

struct Pass {
  std::string_view name;
  int level;  // the lowest optimization level that runs it: 1 basic, 2 extended, 3 layouts
  int (*run)(Graph&);
  bool own = false;       // makes operators, or activations in them, of fastort's own
  bool cpu_only = false;  // makes operators that only the CPU has kernels for
};

// In order. Clean-up comes again behind what leaves something behind.
constexpr Pass kPasses[] = {
    {"remove_dead_nodes", 1, remove_dead_nodes},
    {"remove_identities", 1, remove_identities},
    {"fold_constants", 1, fold_constants},
    {"merge_equal_nodes", 1, merge_equal_nodes},
    {"fuse_quantized", 2, fuse_quantized, true},
    {"fold_dequantized", 1, fold_dequantized},
    {"fold_constants", 1, fold_constants},
    {"merge_views", 1, merge_views},
    {"fold_batch_normalization", 1, fold_batch_normalization},
    {"fuse_layer_normalization", 2, fuse_layer_normalization},
    {"recognize_activations", 2, recognize_activations},
    {"fuse_attention", 2, fuse_attention, true},
    {"fuse_past", 2, fuse_past, true, true},
    {"move_transposes", 2, move_transposes},
    {"merge_views", 1, merge_views},
    {"fold_scales", 2, fold_scales},
    {"fold_pads", 2, fold_pads},
    {"fuse_conv", 2, fuse_conv, true},
    {"fuse_depthwise", 3, fuse_depthwise, true, true},
    {"fuse_integer_products", 2, fuse_integer_products},
    {"fuse_matmul", 2, fuse_matmul, true},
    {"fuse_batch_normalization", 2, fuse_batch_normalization, true},
    {"remove_identities", 1, remove_identities},
    {"merge_equal_nodes", 1, merge_equal_nodes},
    {"fuse_elementwise_chains", 2, fuse_elementwise_chains, true},
    {"remove_dead_nodes", 1, remove_dead_nodes},
};

// A pass may open the way for itself; it is run again while it changes something, up to this often.
constexpr int kMaxRounds = 8;

int run_everywhere(const Pass& pass, Graph& graph) {
  int changes = 0;
  for (Node& node : graph.nodes) {
    for (Graph* body : bodies(node)) changes += run_everywhere(pass, *body);
  }
  for (int round = 0; round < kMaxRounds; ++round) {
    const int more = pass.run(graph);
    changes += more;
    if (!more) break;
  }
  return changes;
}

}  // namespace

std::vector<PassReport> optimize(Graph& graph, const PassOptions& options) {
  std::vector<PassReport> reports;
  for (const Pass& pass : kPasses) {
    if (pass.level > options.level || options.disabled.contains(std::string(pass.name))) continue;
    if ((options.portable && pass.own) || (options.device && pass.cpu_only)) continue;
    const auto begin = std::chrono::steady_clock::now();
    const ReadScope scope;
    const int changes = run_everywhere(pass, graph);
    const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - begin;
    reports.push_back({std::string(pass.name), changes, spent.count()});
#ifndef NDEBUG
    verify(graph);
#endif
  }
  compact_values(graph);
  return reports;
}

std::vector<std::string_view> pass_names() {
  std::vector<std::string_view> names;
  for (const Pass& pass : kPasses) names.push_back(pass.name);
  return names;
}

}  // namespace fastort
