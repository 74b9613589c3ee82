import NIOCore
import NIOHPACK

/// What frames do to a connection and its streams.
extension HTTP2Connection {
    func receive(_ frame: FrameReader.Frame) throws(HTTP2Failure) {
        switch frame {
        case .headers(let id, let block, let isEnd): try receiveHeaders(id, block, isEnd: isEnd)
        case .data(let id, let bytes, let padding, let isEnd):
            try receiveData(id, bytes, padding: padding, isEnd: isEnd)
        case .windowUpdate(let id, let increment): try receiveWindowUpdate(id, increment)
        case .reset(let id, _):
            guard id <= lastStreamID, id % 2 == 1 else {
                throw HTTP2Failure(.protocolError, "Stream \(id) does not exist.")
            }
            let stream = streams[id]
            // Who was answered, and has seen enough of it, is no flood.
            if stream?.wasAnswered != true { try gate.pass(now: now) }
            if let stream { close(stream, wasCut: true) }
        case .settings(let settings):
            try gate.pass(now: now)
            try take(settings)
        case .settingsAcknowledged: hasSettingsAcknowledged = true
        case .ping(let data):
            if life.pinged(now: now) { throw HTTP2Failure(.enhanceYourCalm, "too_many_pings") }
            write { writer, output in writer.ping(data, isAcknowledgement: true, to: &output) }
        case .pingAcknowledged(let data): if data == Self.goodbye { finishDraining() }
        case .other: break
        }
    }

    private func receiveHeaders(_ id: UInt32, _ block: ByteBuffer, isEnd: Bool) throws(HTTP2Failure) {
        // Also of one that is refused: the tables of both sides must stay the same.
        let headers = try decode(block)
        if let stream = streams[id] {
            guard !stream.isRemoteEnded else { return try resetFaulty(stream, .streamClosed) }
            guard isEnd else { return try resetFaulty(stream, .protocolError) }
            stream.receive(trailers: headers)
            return try received(by: stream)
        }
        guard id % 2 == 1 else { throw HTTP2Failure(.protocolError, "Stream \(id) is not a client's to open.") }
        guard id > lastStreamID else {
            if recentlyReset.contains(id) { return }
            throw HTTP2Failure(.streamClosed, "Stream \(id) has ended, or was passed over.")
        }
        lastStreamID = id
        guard streams.count < core.limits.concurrentStreams, drainSteps < 2 else {
            try gate.pass(now: now)
            note(reset: id)
            return write { writer, output in writer.reset(id, .refusedStream, to: &output) }
        }
        let stream = HTTP2Stream(id, connection: self, sendWindow: sending.initialWindow)
        streams.append(stream, id: id)
        idleSince = nil
        if stream.start(headers, isEnd: isEnd) { awaiting.append(stream) }
        try received(by: stream)
    }

    /// What follows from what a stream made of a frame.
    private func received(by stream: HTTP2Stream) throws(HTTP2Failure) {
        if stream.isMalformed { try gate.pass(now: now) }
        closeIfDone(stream)
    }

    /// Cuts a stream off for what the client did to it. Each of that frees a place for a request whose work may go on: as many
    /// as it likes would be no limit (CVE-2025-8671).
    private func resetFaulty(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode) throws(HTTP2Failure) {
        try gate.pass(now: now)
        reset(stream, code)
    }

    private func decode(_ block: ByteBuffer) throws(HTTP2Failure) -> HPACKHeaders {
        var block = block
        do {
            return try decoder.decodeHeaders(from: &block)
        } catch is NIOHPACKErrors.MaxHeaderListSizeViolation {
            // What was left of it would have to be decoded too, to keep the table.
            throw HTTP2Failure(.enhanceYourCalm, "A header has more than \(core.limits.headBytes) bytes.")
        } catch {
            throw HTTP2Failure(.compressionError, "A header cannot be decompressed.")
        }
    }

    private func receiveData(
        _ id: UInt32, _ bytes: ByteBuffer, padding: Int, isEnd: Bool
    ) throws(HTTP2Failure) {
        let length = bytes.readableBytes + padding
        window -= length
        guard window >= 0 else { throw HTTP2Failure(.flowControlError, "More of bodies came than was allowed for.") }
        if bytes.readableBytes == 0, !isEnd { try gate.pass(now: now) }
        guard let stream = streams[id] else {
            guard recentlyReset.contains(id) else {
                throw HTTP2Failure(
                    id > lastStreamID ? .protocolError : .streamClosed, "Data came for stream \(id), which is not open."
                )
            }
            return consumed(length)
        }
        guard !stream.isRemoteEnded else {
            consumed(length)
            return try resetFaulty(stream, .streamClosed)
        }
        // A client that has not seen the settings goes by what holds without them.
        let grace = hasSettingsAcknowledged ? 0 : max(0, Self.initialWindow - core.limits.bufferedBytes)
        guard stream.window + grace >= length else {
            consumed(length)
            return try resetFaulty(stream, .flowControlError)
        }
        stream.receive(bytes, padding: padding, isEnd: isEnd)
        try received(by: stream)
    }

    private func receiveWindowUpdate(_ id: UInt32, _ increment: Int) throws(HTTP2Failure) {
        if id == 0 {
            try sending.grow(by: increment)
            lastWindowChange = now
        } else if let stream = streams[id] {
            stream.sending.window += increment
            guard stream.sending.window <= SendState.largestWindow else {
                return try resetFaulty(stream, .flowControlError)
            }
            stream.windowChanged()
            wait(stream)
        } else if id > lastStreamID || id % 2 == 0 {
            throw HTTP2Failure(.protocolError, "Stream \(id) does not exist.")
        }
        sendWaiting()
    }

    private func take(_ settings: [FrameReader.Setting]) throws(HTTP2Failure) {
        for setting in settings {
            let value = Int(setting.value)
            switch Setting(rawValue: setting.identifier) {
            case .tableSize: sending.writer.take(tableSize: value)
            case .push:
                guard value <= 1 else { throw HTTP2Failure(.protocolError, "ENABLE_PUSH is \(value).") }
            case .initialWindow:
                guard value <= SendState.largestWindow else {
                    throw HTTP2Failure(.flowControlError, "INITIAL_WINDOW_SIZE is \(value).")
                }
                try takeInitialWindow(value)
            case .largestFrame:
                guard (16_384...16_777_215).contains(value) else {
                    throw HTTP2Failure(.protocolError, "MAX_FRAME_SIZE is \(value).")
                }
                sending.writer.take(largestFrame: value)
            case .concurrentStreams, .headerList, .connectProtocol, nil: break
            }
        }
        write { writer, output in writer.settingsAcknowledgement(to: &output) }
        sendWaiting()
    }

    /// Counts for the streams there are, too (RFC 9113 §6.9.2).
    private func takeInitialWindow(_ value: Int) throws(HTTP2Failure) {
        let change = value - sending.initialWindow
        guard change != 0 else { return }
        sending.initialWindow = value
        for stream in streams.streams {
            stream.sending.window += change
            guard stream.sending.window <= SendState.largestWindow else {
                throw HTTP2Failure(.flowControlError, "A window grows past what a window can be.")
            }
            wait(stream)
        }
    }
}
