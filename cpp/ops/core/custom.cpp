#include "ops/core/custom.h"

#include <map>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/fork.h"

namespace fastort {
namespace {

using Key = std::pair<std::string, std::string>;

// An entry stays where it is for as long as the process lives: programs point to its table entry.
struct Entry {
  std::shared_ptr<const CustomOp> op;
  OpDef def;
};

std::mutex& entries_mutex() {
  static std::mutex mutex;
  return mutex;
}

std::map<Key, std::unique_ptr<Entry>>& entries() {
  static auto* const kEntries = new std::map<Key, std::unique_ptr<Entry>>;
  return *kEntries;
}

std::shared_ptr<const CustomOp> current(const Node& node) {
  const ForkGuard guard;
  const std::lock_guard lock(entries_mutex());
  return entries().at({node.domain, node.op_type})->op;
}

void infer_custom(InferContext& context) { current(context.node)->infer(context); }

std::unique_ptr<Kernel> prepare_custom(const OpContext& context) {
  return make_kernel([op = current(context.node), node = context.node](const KernelArgs& args) {
    op->compute(node, *args.frame, args.parallel);
  });
}

constexpr Candidate kCustom[] = {{.name = "custom operator", .prepare = prepare_custom}};

}  // namespace

void register_custom_op(std::shared_ptr<const CustomOp> op) {
  const Key key{op->domain() == "ai.onnx" ? "" : op->domain(), op->name()};
  if (key.second.empty()) invalid_argument("a custom operator needs a name");
  for (const OpDef* own : all_ops()) {
    if (own->domain == key.first && own->name == key.second)
      invalid_argument("fastort has an operator '" + key.second + "' of domain '" +
                       (key.first.empty() ? "ai.onnx" : key.first) + "' itself; choose another domain");
  }
  const ForkGuard guard;
  const std::lock_guard lock(entries_mutex());
  std::unique_ptr<Entry>& entry = entries()[key];
  if (entry) {
    entry->op = std::move(op);
    return;
  }
  entry = std::make_unique<Entry>();
  entry->op = std::move(op);
  const Key& stored = entries().find(key)->first;
  // What it computes is not known to be the same each time, and its results' shapes only once they are there.
  entry->def = {.domain = stored.first,
                .name = stored.second,
                .infer = infer_custom,
                .cpu = kCustom,
                .types = kAllTypes,
                .flags = kDynamic | kImpure};
}

const OpDef* find_custom_op(std::string_view domain, std::string_view name) {
  const ForkGuard guard;
  const std::lock_guard lock(entries_mutex());
  const auto found = entries().find({std::string(domain), std::string(name)});
  return found == entries().end() ? nullptr : &found->second->def;
}

}  // namespace fastort
