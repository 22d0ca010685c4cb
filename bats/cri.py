#!/usr/bin/python3
"""cri.py SOCKET METHOD [JSON]: one call of the Kubernetes CRI (runtime.v1), as the kubelet makes it.

The request is the JSON object, the answer is printed as one; both have the names of the fields of the
protocol's messages. What this file knows of them is below: the fields that the tests use, with the
numbers of the protocol. Exit status 1, and the error's text on standard error, if the call fails.
The interpreter is the system's: Debian's python3-grpcio belongs to it."""
import json
import sys

import grpc

LIMIT = 120  # seconds, for each call

# A line is a message: NAME FIELD=NUMBER:TYPE..., where a type is int (any varint), string, bytes, map
# (of strings) or the name of a message, and a star after it means repeated.
MESSAGES = """
Int64Value value=1:int
UInt64Value value=1:int
PodSandboxMetadata name=1:string uid=2:string namespace=3:string attempt=4:int
DNSConfig servers=1:string* searches=2:string* options=3:string*
NamespaceOption network=1:int pid=2:int ipc=3:int target_id=4:string
LinuxSandboxSecurityContext namespace_options=1:NamespaceOption privileged=6:int
LinuxContainerResources cpu_period=1:int cpu_quota=2:int cpu_shares=3:int memory_limit_in_bytes=4:int oom_score_adj=5:int
LinuxPodSandboxConfig cgroup_parent=1:string security_context=2:LinuxSandboxSecurityContext sysctls=3:map resources=5:LinuxContainerResources
PodSandboxConfig metadata=1:PodSandboxMetadata hostname=2:string log_directory=3:string dns_config=4:DNSConfig labels=6:map annotations=7:map linux=8:LinuxPodSandboxConfig
RunPodSandboxRequest config=1:PodSandboxConfig runtime_handler=2:string
RunPodSandboxResponse pod_sandbox_id=1:string
StopPodSandboxRequest pod_sandbox_id=1:string
StopPodSandboxResponse
RemovePodSandboxRequest pod_sandbox_id=1:string
RemovePodSandboxResponse
PodSandboxStatusRequest pod_sandbox_id=1:string verbose=2:int
PodSandboxNetworkStatus ip=1:string
PodSandboxStatus id=1:string state=3:int network=5:PodSandboxNetworkStatus runtime_handler=9:string
PodSandboxStatusResponse status=1:PodSandboxStatus info=2:map
PodSandbox id=1:string state=3:int
ListPodSandboxRequest
ListPodSandboxResponse items=1:PodSandbox*
ImageSpec image=1:string
KeyValue key=1:string value=2:string
Mount container_path=1:string host_path=2:string readonly=3:int
Device container_path=1:string host_path=2:string permissions=3:string
SecurityProfile profile_type=1:int
Capability add_capabilities=1:string* drop_capabilities=2:string*
LinuxContainerSecurityContext capabilities=1:Capability privileged=2:int namespace_options=3:NamespaceOption run_as_user=5:Int64Value readonly_rootfs=7:int supplemental_groups=8:int* no_new_privs=11:int run_as_group=12:Int64Value seccomp=15:SecurityProfile
LinuxContainerConfig resources=1:LinuxContainerResources security_context=2:LinuxContainerSecurityContext
ContainerMetadata name=1:string attempt=2:int
ContainerConfig metadata=1:ContainerMetadata image=2:ImageSpec command=3:string* args=4:string* working_dir=5:string envs=6:KeyValue* mounts=7:Mount* devices=8:Device* labels=9:map annotations=10:map log_path=11:string stdin=12:int stdin_once=13:int tty=14:int linux=15:LinuxContainerConfig
CreateContainerRequest pod_sandbox_id=1:string config=2:ContainerConfig sandbox_config=3:PodSandboxConfig
CreateContainerResponse container_id=1:string
StartContainerRequest container_id=1:string
StartContainerResponse
StopContainerRequest container_id=1:string timeout=2:int
StopContainerResponse
RemoveContainerRequest container_id=1:string
RemoveContainerResponse
Container id=1:string pod_sandbox_id=2:string state=6:int
ListContainersRequest
ListContainersResponse containers=1:Container*
ContainerStatusRequest container_id=1:string verbose=2:int
ContainerStatus id=1:string state=3:int exit_code=7:int reason=10:string message=11:string log_path=15:string
ContainerStatusResponse status=1:ContainerStatus info=2:map
UpdateContainerResourcesRequest container_id=1:string linux=2:LinuxContainerResources
UpdateContainerResourcesResponse
ExecSyncRequest container_id=1:string cmd=2:string* timeout=3:int
ExecSyncResponse stdout=1:bytes stderr=2:bytes exit_code=3:int
CpuUsage usage_core_nano_seconds=2:UInt64Value
MemoryUsage working_set_bytes=2:UInt64Value usage_bytes=4:UInt64Value
ContainerStats cpu=2:CpuUsage memory=3:MemoryUsage
ContainerStatsRequest container_id=1:string
ContainerStatsResponse stats=1:ContainerStats
Image id=1:string
ImageStatusRequest image=1:ImageSpec
ImageStatusResponse image=1:Image
VersionRequest version=1:string
VersionResponse version=1:string runtime_name=2:string runtime_version=3:string
StatusRequest verbose=1:int
RuntimeCondition type=1:string status=2:int reason=3:string message=4:string
RuntimeStatus conditions=1:RuntimeCondition*
StatusResponse status=1:RuntimeStatus
"""


def parse_messages(text):
    """{message: {field: (number, type, is repeated)}}"""
    messages = {}
    for line in filter(None, text.splitlines()):
        name, *fields = line.split()
        messages[name] = {}
        for field in fields:
            key, number, kind = field.replace('=', ':').split(':')
            messages[name][key] = (int(number), kind.rstrip('*'), kind.endswith('*'))
    return messages


FIELDS = parse_messages(MESSAGES)
FIELDS['map'] = {'key': (1, 'string', False), 'value': (2, 'string', False)}


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_value(number, kind, value):
    if kind == 'int':
        return varint(number << 3) + varint(int(value))
    if kind == 'string':
        value = value.encode()
    elif kind != 'bytes':
        value = encode(kind, value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def encode(message, value):
    out = b''
    for key, item in value.items():
        number, kind, repeated = FIELDS[message][key]
        if kind == 'map':
            item = [{'key': k, 'value': v} for k, v in item.items()]
        for one in item if repeated or kind == 'map' else [item]:
            out += encode_value(number, kind, one)
    return out


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def read_value(data, at, wire):
    if wire == 0:
        return read_varint(data, at)
    length, at = read_varint(data, at) if wire == 2 else ({1: 8, 5: 4}[wire], at)
    return data[at:at + length], at + length


def decode(message, data):
    """Fields that are not in MESSAGES are passed over; scalars that are not sent have their default."""
    known = {number: (key, kind, repeated)
             for key, (number, kind, repeated) in FIELDS[message].items()}
    empty = {'int': 0, 'string': '', 'bytes': '', 'map': {}}
    out = {key: [] if repeated else empty[kind]
           for key, kind, repeated in known.values() if repeated or kind in empty}
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        value, at = read_value(data, at, tag & 7)
        if tag >> 3 not in known:
            continue
        key, kind, repeated = known[tag >> 3]
        if kind in ('string', 'bytes'):
            value = value.decode(errors='backslashreplace')
        elif kind == 'int':
            value = value - (1 << 64) if value >= 1 << 63 else value
        else:
            value = decode(kind, value)
        if repeated:
            out[key].append(value)
        elif kind == 'map':
            out[key] = out[key] | {value['key']: value['value']}
        else:
            out[key] = value
    return out


def main():
    socket, method, request = sys.argv[1], sys.argv[2], json.loads((sys.argv[3:] or ['{}'])[0])
    service = 'ImageService' if 'Image' in method else 'RuntimeService'
    with grpc.insecure_channel(f'unix://{socket}') as channel:
        call = channel.unary_unary(f'/runtime.v1.{service}/{method}',
                                   request_serializer=lambda value: encode(method + 'Request', value),
                                   response_deserializer=lambda data: decode(method + 'Response', data))
        try:
            print(json.dumps(call(request, timeout=LIMIT)))
        except grpc.RpcError as error:
            print(f'{method}: {error.code().name}: {error.details()}', file=sys.stderr)
            return 1
    return 0


sys.exit(main())
