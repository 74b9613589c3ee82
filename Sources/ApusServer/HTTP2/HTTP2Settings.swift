/// Identifiers of settings (RFC 9113 §6.5.2, RFC 8441 §3).
enum HTTP2Setting: UInt16 {
    case tableSize = 1
    case push = 2
    case concurrentStreams = 3
    case initialWindow = 4
    case maximumFrameSize = 5
    case headerList = 6
    case connectProtocol = 8
}

/// A change that the client's settings make to what it may be sent.
enum HTTP2SettingChange: Equatable {
    case tableSize(Int)
    case initialWindow(Int)
    case maximumFrameSize(Int)

    /// Validates a setting.
    /// - Returns: The change; `nil` for a setting that changes nothing.
    init?(_ setting: FrameReader.Setting) throws(HTTP2Failure) {
        let value = Int(setting.value)
        switch HTTP2Setting(rawValue: setting.identifier) {
        case .tableSize: self = .tableSize(value)
        case .push:
            guard value <= 1 else { throw HTTP2Failure(.protocolError, "ENABLE_PUSH is \(value); it must be 0 or 1.") }
            return nil
        case .initialWindow:
            guard value <= SendWindow.maximum else {
                throw HTTP2Failure(
                    .flowControlError, "INITIAL_WINDOW_SIZE is \(value), more than \(SendWindow.maximum).")
            }
            self = .initialWindow(value)
        case .maximumFrameSize:
            guard (16_384...16_777_215).contains(value) else {
                throw HTTP2Failure(
                    .protocolError, "MAX_FRAME_SIZE is \(value); it must be between 16384 and 16777215.")
            }
            self = .maximumFrameSize(value)
        case .concurrentStreams, .headerList, .connectProtocol, nil: return nil
        }
    }
}
