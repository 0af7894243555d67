#!/usr/bin/env python3
"""What AMD's compiler makes of every kernel, without the hardware: writes the table of docs/kernels.md to standard output.

Mesa's RADV compiles for a named chip on a null device (RADV_FORCE_FAMILY) and tells registers, spills and waves
(VK_KHR_pipeline_executable_properties) and the assembly (RADV_DEBUG=shaders). Nothing runs: these are no timings.

  apt-get install mesa-vulkan-drivers; pip install vulkan
  cargo run --release --example export_shaders -- target/kernels
  scripts/amd_kernels.py target/kernels
"""
import glob
import os
import re
import struct
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

FAMILIES = ["vega10", "navi21", "gfx1100"]
FMA, LDS, VALU = r"v_(pk_)?(fma|fmac|mac|mad)", r"ds_", r"v_"


def interface(words):
    """(binding -> is it a uniform, entry point) of a SPIR-V module."""
    bindings, classes, entry, at = {}, {}, None, 5
    while at < len(words):
        length, opcode = words[at] >> 16, words[at] & 0xFFFF
        word = words[at:at + length]
        if opcode == 71 and word[2] == 33:  # OpDecorate Binding
            bindings[word[1]] = word[3]
        elif opcode == 59:  # OpVariable
            classes[word[2]] = word[3]
        elif opcode == 15:  # OpEntryPoint
            entry = struct.pack(f"<{length - 3}I", *word[3:]).split(b"\0")[0].decode()
        at += length
    return {binding: classes[name] == 2 for name, binding in bindings.items()}, entry


def compile_one(path):
    """Child: compiles one kernel on the null device and prints its statistics."""
    import vulkan as vk

    application = vk.VkApplicationInfo(apiVersion=vk.VK_MAKE_VERSION(1, 3, 0))
    instance = vk.vkCreateInstance(vk.VkInstanceCreateInfo(pApplicationInfo=application), None)
    properties = vk.VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR(pipelineExecutableInfo=True)
    features = vk.VkPhysicalDeviceVulkan12Features(pNext=properties, vulkanMemoryModel=True)
    queue = vk.VkDeviceQueueCreateInfo(queueFamilyIndex=0, pQueuePriorities=[1.0])
    device = vk.vkCreateDevice(vk.vkEnumeratePhysicalDevices(instance)[0], vk.VkDeviceCreateInfo(
        pNext=features, pQueueCreateInfos=[queue], ppEnabledExtensionNames=["VK_KHR_pipeline_executable_properties"]), None)
    code = open(path, "rb").read()
    bindings, entry = interface(struct.unpack(f"<{len(code) // 4}I", code))
    layout = vk.vkCreateDescriptorSetLayout(device, vk.VkDescriptorSetLayoutCreateInfo(pBindings=[
        vk.VkDescriptorSetLayoutBinding(
            binding=binding, descriptorCount=1, stageFlags=vk.VK_SHADER_STAGE_COMPUTE_BIT,
            descriptorType=vk.VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER if uniform else vk.VK_DESCRIPTOR_TYPE_STORAGE_BUFFER)
        for binding, uniform in sorted(bindings.items())]), None)
    module = vk.vkCreateShaderModule(device, vk.VkShaderModuleCreateInfo(codeSize=len(code), pCode=code), None)
    stage = vk.VkPipelineShaderStageCreateInfo(stage=vk.VK_SHADER_STAGE_COMPUTE_BIT, module=module, pName=entry)
    pipeline = vk.vkCreateComputePipelines(device, None, 1, [vk.VkComputePipelineCreateInfo(
        flags=vk.VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR, stage=stage,
        layout=vk.vkCreatePipelineLayout(device, vk.VkPipelineLayoutCreateInfo(pSetLayouts=[layout]), None))], None)[0]
    statistics = vk.vkGetDeviceProcAddr(device, "vkGetPipelineExecutableStatisticsKHR")
    for value in statistics(device, vk.VkPipelineExecutableInfoKHR(pipeline=pipeline, executableIndex=0)):
        print(f"{value.name}={value.value.u64}")


def judge(path, family):
    """(registers, spilled, waves, FMA share of vector ALU and LDS an FMA of the block with most FMA)."""
    driver = next(iter(glob.glob("/usr/share/vulkan/icd.d/radeon_icd*.json")), "")
    environment = {**os.environ, "RADV_FORCE_FAMILY": family, "RADV_DEBUG": "shaders,nocache", "VK_DRIVER_FILES": driver, "VK_ICD_FILENAMES": driver}
    child = subprocess.run([sys.executable, __file__, "--one", path], capture_output=True, text=True, env=environment)
    # The driver shares both streams with us.
    both = child.stdout + child.stderr
    numbers = dict(re.findall(r"^([A-Z][\w ]+)=(\d+)$", both, re.M))
    if "VGPRs" not in numbers:
        return None
    blocks = [Counter()]
    for line in both.partition("disasm:")[2].splitlines():
        if re.match(r"BB\d+:", line):
            blocks.append(Counter())
        if instruction := re.match(r"\s+([a-z]+_[a-z0-9_]+)", line):
            kind = next((kind for kind in (FMA, LDS, VALU) if re.match(kind, instruction[1])), "other")
            blocks[-1][kind] += 1
    main = max(blocks, key=lambda block: block[FMA])
    spilled = int(numbers["Spilled VGPRs"]) + int(numbers["Spilled SGPRs"]) + int(numbers["Scratch size"])
    fma = max(1, main[FMA])
    return int(numbers["VGPRs"]), spilled, int(numbers["Subgroups per SIMD"]), main[FMA] / (fma + main[VALU]), main[LDS] / fma


def is_for_hardware(name):
    """Tiles of no more than eight threads are for software drivers."""
    threads = re.search(r"_(\d+)x(\d+)$", name)
    return not threads or int(threads[1]) * int(threads[2]) > 8


def families(path):
    """A kernel for software drivers only has to compile."""
    return FAMILIES if is_for_hardware(os.path.basename(path).removesuffix(".spv")) else ["navi21"]


def main():
    if sys.argv[1] == "--one":
        return compile_one(sys.argv[2])
    paths = sorted(glob.glob(os.path.join(sys.argv[1], "*.spv")))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        work = {(path, family): pool.submit(judge, path, family) for path in paths for family in families(path)}
    found = {key: job.result() for key, job in work.items()}
    failed = [key for key, result in found.items() if result is None]
    print(f"{len(paths)} kernels, {len(failed)} of {len(found)} compilations failed.\n")
    print("| kernel | " + " | ".join(f"{family}: VGPRs, spilled, waves" for family in FAMILIES) + " | navi21, main block: FMA share, LDS an FMA |")
    print("| --- " * (len(FAMILIES) + 2) + "|")
    for path in paths:
        name = os.path.basename(path).removesuffix(".spv")
        if not is_for_hardware(name):
            continue
        cells = []
        for family in FAMILIES:
            result = found[path, family]
            cells.append("failed" if result is None else f"{result[0]}, {result[1]}, {result[2]}")
        result = found[path, "navi21"]
        product = result is not None and re.search(r"_\d+x\d+$", name)
        cells.append(f"{result[3]:.0%}, {result[4]:.2f}" if product else "")
        print(f"| {name} | " + " | ".join(cells) + " |")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
