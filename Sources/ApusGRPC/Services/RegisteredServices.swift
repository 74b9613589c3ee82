import GRPCCore

/// Services that were asked what they are made of.
struct RegisteredServices {
    private(set) var router = RPCRouter<CallTransport>()
    let description: ServiceDescription
    /// In the order of their names.
    let methods: [MethodDescriptor]

    init(_ services: [any RegistrableRPCService]) {
        var router = RPCRouter<CallTransport>()
        description = ServiceDescription.collecting {
            for service in services { service.registerMethods(with: &router) }
        }
        methods = router.methods.sorted { $0.fullyQualifiedMethod < $1.fullyQualifiedMethod }
        router.registerInterceptors(pipeline: [.apply(ErrorNoting(), to: .all)])
        self.router = router
    }

    /// What they are known by.
    var served: ServedServices {
        let names = Set(methods.map(\.service.fullyQualifiedService)).sorted()
        return ServedServices(names: names, files: description.files)
    }
}

/// What services are known by.
struct ServedServices: Sendable {
    /// Their full names.
    let names: [String]
    /// What declares them: `google.protobuf.FileDescriptorProto`s in base64.
    let files: [String]
}
