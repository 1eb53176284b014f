#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "providers/vulkan/instance.h"

// Cooperative matrices (VK_KHR_cooperative_matrix, and of VK_NV_cooperative_matrix2 operations on elements), the width
// of subgroups, which they want held, and how many processors a device has.
namespace fastort::vulkan {

// Fills in what a device offers of these. `has` tells whether it has an extension.
void describe_matrices(const InstanceApi& api, const std::function<bool(std::string_view)>& has, DeviceInfo& info);

// The features that a device is opened with for them: a chain that lives as long as this object.
class MatrixFeatures {
 public:
  // Adds the names of the extensions.
  MatrixFeatures(const DeviceInfo& info, std::vector<const char*>& extensions);
  MatrixFeatures(const MatrixFeatures&) = delete;
  MatrixFeatures& operator=(const MatrixFeatures&) = delete;
  // The chain, with `next` behind it.
  void* before(void* next);

 private:
  bool matrices_, widths_, elements_;
  VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix_{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR};
  VkPhysicalDeviceCooperativeMatrix2FeaturesNV element_{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV};
  VkPhysicalDeviceMaintenance4Features maintenance_{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES};
  VkPhysicalDeviceSubgroupSizeControlFeaturesEXT width_{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT};
};

// Whether a shader multiplies cooperative matrices.
bool uses_matrices(std::span<const uint32_t> code);

}  // namespace fastort::vulkan
