//! The rules inside tables: the parts that close each other, and the foster parenting of all that may not stand
//! between them. Text in tables stands in `text`.

use super::super::names::Name;
use super::super::tokens::Tag;
use super::{Mode, Next, Outline, Scope};

impl<'a> Outline<'a> {
    pub(super) fn table_start(&mut self, tag: &Tag<'a>) -> Next {
        use Name::*;
        match tag.name {
            Caption | Colgroup | Col | Tbody | Tfoot | Thead | Td | Th | Tr => self.table_part(tag),
            Table => {
                if !self.has(Scope::Table, Table) {
                    return Next::Done;
                }
                self.close_named(Table);
                Next::Again(self.mode_of_stack())
            }
            Style | Script | Template => self.body_start(tag),
            Input => {
                let kind = tag.attributes().find(|attribute| attribute.name.eq_ignore_ascii_case("type"));
                let kind = kind.map_or("", |attribute| attribute.value);
                if kind.contains('&') {
                    self.tally.unclear = self.tally.unclear.saturating_add(1);
                }
                if kind.eq_ignore_ascii_case("hidden") {
                    return self.insert_void(tag);
                }
                self.foster(|outline| outline.body_start(tag))
            }
            Form => {
                if !self.in_template() && self.form.is_none() {
                    self.form = Some(self.create(tag));
                }
                Next::Done
            }
            _ => self.foster(|outline| outline.body_start(tag)),
        }
    }

    fn table_part(&mut self, tag: &Tag<'a>) -> Next {
        use Name::*;
        self.close_down_to(Name::is_table_scope);
        match tag.name {
            Caption => {
                self.mark();
                self.mode = Mode::Caption;
                self.insert(tag)
            }
            Colgroup => {
                self.mode = Mode::ColumnGroup;
                self.insert(tag)
            }
            Col => {
                self.insert_implied(Colgroup, "colgroup");
                Next::Again(Mode::ColumnGroup)
            }
            Td | Th | Tr => {
                self.insert_implied(Tbody, "tbody");
                Next::Again(Mode::TableBody)
            }
            _ => {
                self.mode = Mode::TableBody;
                self.insert(tag)
            }
        }
    }

    pub(super) fn table_end(&mut self, tag: &Tag<'a>) -> Next {
        use Name::*;
        match tag.name {
            Table => {
                if self.has(Scope::Table, Table) {
                    self.close_named(Table);
                    self.mode = self.mode_of_stack();
                }
                Next::Done
            }
            Body | Caption | Col | Colgroup | Html | Tbody | Td | Tfoot | Th | Thead | Tr => Next::Done,
            Template => self.close_template(),
            _ => self.foster(|outline| outline.body_end(tag)),
        }
    }

    pub(super) fn caption_start(&mut self, tag: &Tag<'a>) -> Next {
        use Name::*;
        match tag.name {
            Caption | Col | Colgroup | Tbody | Td | Tfoot | Th | Thead | Tr => self.close_caption(),
            _ => self.body_start(tag),
        }
    }

    pub(super) fn caption_end(&mut self, tag: &Tag<'a>) -> Next {
        use Name::*;
        match tag.name {
            Table => self.close_caption(),
            Caption => {
                if let Next::Again(mode) = self.close_caption() {
                    self.mode = mode;
                }
                Next::Done
            }
            Body | Col | Colgroup | Html | Tbody | Td | Tfoot | Th | Thead | Tr => Next::Done,
            _ => self.body_end(tag),
        }
    }

    fn close_caption(&mut self) -> Next {
        if !self.has(Scope::Table, Name::Caption) {
            return Next::Done;
        }
        self.close_implied(Name::is_implied_end);
        self.close_named(Name::Caption);
        self.clear_to_marker();
        Next::Again(Mode::Table)
    }

    pub(super) fn column_group_start(&mut self, tag: &Tag<'a>) -> Next {
        match tag.name {
            Name::Html | Name::Template => self.body_start(tag),
            Name::Col => self.insert_void(tag),
            _ => self.leave_column_group(),
        }
    }

    pub(super) fn column_group_end(&mut self, tag: &Tag<'a>) -> Next {
        match tag.name {
            Name::Colgroup => {
                if let Next::Again(mode) = self.leave_column_group() {
                    self.mode = mode;
                }
                Next::Done
            }
            Name::Col => Next::Done,
            Name::Template => self.close_template(),
            _ => self.leave_column_group(),
        }
    }

    pub(super) fn leave_column_group(&mut self) -> Next {
        if !self.top_is(Name::Colgroup) {
            return Next::Done;
        }
        self.pop();
        Next::Again(Mode::Table)
    }

    pub(super) fn table_body_start(&mut self, tag: &Tag<'a>) -> Next {
        use Name::*;
        match tag.name {
            Tr => {
                self.close_down_to(is_body_context);
                self.mode = Mode::Row;
                self.insert(tag)
            }
            Th | Td => {
                self.close_down_to(is_body_context);
                self.insert_implied(Tr, "tr");
                Next::Again(Mode::Row)
            }
            Caption | Col | Colgroup | Tbody | Tfoot | Thead => self.leave_table_body(),
            _ => self.table_start(tag),
        }
    }

    pub(super) fn table_body_end(&mut self, tag: &Tag<'a>) -> Next {
        use Name::*;
        match tag.name {
            Tbody | Tfoot | Thead => {
                if self.has(Scope::Table, tag.name) {
                    self.close_down_to(is_body_context);
                    self.pop();
                    self.mode = Mode::Table;
                }
                Next::Done
            }
            Table => self.leave_table_body(),
            Body | Caption | Col | Colgroup | Html | Td | Th | Tr => Next::Done,
            _ => self.table_end(tag),
        }
    }

    fn leave_table_body(&mut self) -> Next {
        // html5ever looks for these three, not for `thead`, as the standard has it; a table is always among them.
        let outer = |name| matches!(name, Name::Table | Name::Tbody | Name::Tfoot);
        if !self.in_scope(Scope::Table, |open| open.html(outer)) {
            return Next::Done;
        }
        self.close_down_to(is_body_context);
        self.pop();
        Next::Again(Mode::Table)
    }

    pub(super) fn row_start(&mut self, tag: &Tag<'a>) -> Next {
        use Name::*;
        match tag.name {
            Th | Td => {
                self.close_down_to(is_row_context);
                self.mode = Mode::Cell;
                self.insert(tag);
                self.mark();
                Next::Done
            }
            Caption | Col | Colgroup | Tbody | Tfoot | Thead | Tr => self.close_row(),
            _ => self.table_start(tag),
        }
    }

    pub(super) fn row_end(&mut self, tag: &Tag<'a>) -> Next {
        use Name::*;
        match tag.name {
            Tr => {
                if let Next::Again(mode) = self.close_row() {
                    self.mode = mode;
                }
                Next::Done
            }
            Table => self.close_row(),
            Tbody | Tfoot | Thead if self.has(Scope::Table, tag.name) => self.close_row(),
            Tbody | Tfoot | Thead | Body | Caption | Col | Colgroup | Html | Td | Th => Next::Done,
            _ => self.table_end(tag),
        }
    }

    fn close_row(&mut self) -> Next {
        if !self.has(Scope::Table, Name::Tr) {
            return Next::Done;
        }
        self.close_down_to(is_row_context);
        self.pop();
        Next::Again(Mode::TableBody)
    }

    pub(super) fn cell_start(&mut self, tag: &Tag<'a>) -> Next {
        use Name::*;
        match tag.name {
            Caption | Col | Colgroup | Tbody | Td | Tfoot | Th | Thead | Tr => {
                if self.in_scope(Scope::Table, |open| open.html(is_cell)) {
                    self.close_cell()
                } else {
                    Next::Done
                }
            }
            _ => self.body_start(tag),
        }
    }

    pub(super) fn cell_end(&mut self, tag: &Tag<'a>) -> Next {
        use Name::*;
        match tag.name {
            Td | Th => {
                if self.has(Scope::Table, tag.name) {
                    self.close_implied(Name::is_implied_end);
                    self.close_named(tag.name);
                    self.clear_to_marker();
                    self.mode = Mode::Row;
                }
                Next::Done
            }
            Body | Caption | Col | Colgroup | Html => Next::Done,
            Table | Tbody | Tfoot | Thead | Tr => {
                if self.has(Scope::Table, tag.name) {
                    self.close_cell()
                } else {
                    Next::Done
                }
            }
            _ => self.body_end(tag),
        }
    }

    fn close_cell(&mut self) -> Next {
        self.close_implied(Name::is_implied_end);
        self.close_through(is_cell);
        self.clear_to_marker();
        Next::Again(Mode::Row)
    }
}

fn is_cell(name: Name) -> bool {
    matches!(name, Name::Td | Name::Th)
}

fn is_body_context(name: Name) -> bool {
    matches!(name, Name::Tbody | Name::Tfoot | Name::Thead | Name::Template | Name::Html)
}

fn is_row_context(name: Name) -> bool {
    matches!(name, Name::Tr | Name::Template | Name::Html)
}
